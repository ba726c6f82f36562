import { beforeEach, describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../cli/args/args.ts';
import { createDeliveryLines } from '../../cli/view/serve-deliveries.ts';
import { createServeLog } from '../../cli/view/serve-log.ts';
import type { Announcement, Ignored } from '../../core/announce/announcement.ts';
import type { IntakeResult } from '../../core/announce/intake.ts';
import { configurationError } from '../../core/model/errors.ts';
import type { Delivery } from '../../machine/serve/hook-server.ts';

const HOUR = 3_600_000;
let lines: string[];
let time: number;

function openLines(verbose: boolean) {
  const { lines: linesOf } = createDeliveryLines({ verbose, now: () => time });
  return (delivery: Partial<Delivery>): void => {
    const whole = { sender: 'ci', status: 200, results: [], ignored: [], ...delivery };
    for (const { isWarning, message } of linesOf(whole)) lines.push(isWarning ? `warning: ${message}` : message);
  };
}

beforeEach(() => {
  lines = [];
  time = 1_000;
});

const repository = { registry: 'registry.example.com:5000', repository: 'team/app' };
const pushed = (tag: string): Announcement => ({ kind: 'push', repository, tag, dialect: 'plain' });
const unmatched = (name: string): Ignored => ({ reason: 'unmatched', what: `registry.example.com:5000/${name}` });

describe('a refused sender', () => {
  const refusal = { status: 401, refusal: 'the signature is wrong' };

  it('is told of once an hour, with how many there were', () => {
    const tell = openLines(false);
    for (let at = 0; at < 5; at++) tell(refusal);
    time += HOUR;
    tell(refusal);
    tell(refusal);
    expect(lines).toEqual([
      'warning: refused a delivery of ci with 401: the signature is wrong',
      'warning: refused a delivery of ci with 401: the signature is wrong, as 4 before',
    ]);
  });

  it('is told of for each status and reason, and not where it is nobody', () => {
    const tell = openLines(false);
    tell(refusal);
    tell({ ...refusal, refusal: 'the signature is missing' });
    tell({ status: 503, refusal: 'too many tags are waiting' });
    tell({ sender: undefined, status: 404, refusal: 'the token in the URL is wrong' });
    expect(lines).toHaveLength(3);
  });
});

describe('an event that leads to nothing', () => {
  it('is told of once for a repository that no rule takes, with the mend', () => {
    const tell = openLines(false);
    for (const tag of ['1', '2']) tell({ ignored: [{ ...unmatched(`team/app:${tag}`), mend: 'write registry: x' }] });
    expect(lines).toEqual(['no rule takes registry.example.com:5000/team/app:1, announced by ci; write registry: x']);
  });

  it('is told of once for a repository that its sender may not speak for', () => {
    const tell = openLines(false);
    for (const name of ['app:1', 'app:2', 'else:1']) {
      tell({ ignored: [{ reason: 'not-allowed', what: `registry.example.com/${name}` }] });
    }
    expect(lines).toEqual([
      'ignored an event of ci: not-allowed, registry.example.com/app:1: this sender may not speak for it',
      'ignored an event of ci: not-allowed, registry.example.com/else:1: this sender may not speak for it',
    ]);
  });

  it('is told of once for each sender and reason', () => {
    const tell = openLines(false);
    const events: Ignored[] = [
      { reason: 'not-a-push', what: 'pull of team/app' },
      { reason: 'not-a-push', what: 'pull of team/lib' },
      { reason: 'malformed', what: 'x', why: 'its tag is not valid' },
      { reason: 'malformed', what: 'x', why: 'its digest is not valid' },
    ];
    tell({ ignored: events });
    tell({ sender: 'other', ignored: events.slice(0, 1) });
    expect(lines).toEqual([
      'ignored an event of ci: not-a-push, pull of team/app: it is not a push',
      'ignored an event of ci: malformed, x: its tag is not valid',
      'ignored an event of ci: malformed, x: its digest is not valid',
      'ignored an event of other: not-a-push, pull of team/app: it is not a push',
    ]);
  });

  it('is told of however many there were before', () => {
    const tell = openLines(false);
    for (let at = 0; at < 12_000; at++) tell({ ignored: [unmatched(`team/a${at}:1`)] });
    expect(lines).toHaveLength(12_000);
    lines = [];
    tell({ sender: 'new', ignored: [unmatched('team/a11999:1')] });
    tell({ ignored: [unmatched('team/a11999:2')] });
    expect(lines).toEqual(['no rule takes registry.example.com:5000/team/a11999:1, announced by new']);
  });
});

const results: IntakeResult[] = [
  { announcement: pushed('1'), fate: 'queued' },
  { announcement: pushed('1'), fate: 'merged' },
];

it('tells with verbose what became of every event', () => {
  const tell = openLines(true);
  tell({ results, ignored: [{ reason: 'test' }] });
  tell({ ignored: [{ reason: 'test' }] });
  expect(lines).toEqual([
    'ignored an event of ci: test: it is a test of the sender',
    'ci announced registry.example.com:5000/team/app:1: queued',
    'ci announced registry.example.com:5000/team/app:1: another event of the same push',
    'ignored an event of ci: test: it is a test of the sender',
  ]);
});

/** The log as a command line has it, and what it wrote. */
function openLog(args: string[]) {
  const invocation = parseCommandLine(['serve', ...args]);
  if (invocation.command !== 'serve') throw new Error('not serve');
  let text = '';
  const output = {
    write: (part: string) => {
      text += part;
    },
  };
  const tell = createServeLog(invocation.flags, {
    env: {},
    stdout: output,
    stderr: { ...output, on: () => {}, off: () => {}, writableNeedDrain: false },
    onSignal: () => () => undefined,
    onHangup: () => () => {},
    unwritten: async () => ({}),
  });
  return { tell, text: () => text };
}

it('tells in one line what is wrong with files that were read again', () => {
  const { tell, text } = openLog(['--no-color']);
  tell({ type: 'reload-failed', error: configurationError('2 problems in a.yaml\na.yaml:1:1: one\na.yaml:2:1: two') });
  expect(text()).toMatch(/ the old settings stay: 2 problems in a\.yaml: a\.yaml:1:1: one; a\.yaml:2:1: two\n$/);
});

it('gives the fate of every event as fields, with --json', () => {
  const { tell, text } = openLog(['--json']);
  const ignored = [{ ...unmatched('team/else:1'), mend: 'write registry: x' }];
  for (const _ of [1, 2]) tell({ type: 'delivered', delivery: { sender: 'ci', status: 200, results, ignored } });
  const events = text()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events).toHaveLength(6);
  const common = { type: 'push-event', at: expect.any(String), sender: 'ci', status: 200 };
  expect(events.slice(0, 3)).toEqual([
    { ...common, result: 'queued', what: 'registry.example.com:5000/team/app:1' },
    { ...common, result: 'merged', what: 'registry.example.com:5000/team/app:1' },
    {
      ...common,
      result: 'unmatched',
      what: 'registry.example.com:5000/team/else:1',
      why: 'no rule takes it',
      mend: 'write registry: x',
    },
  ]);
});
