import { beforeEach, describe, expect, it } from 'vitest';
import { createTeller } from '../../cli/view/serve-teller.ts';
import type { Announcement, Ignored } from '../../core/announce/announcement.ts';

const HOUR = 3_600_000;
let lines: string[];
let time: number;

function openTeller(verbose: boolean) {
  const log = {
    emit: (event: { type: string; message?: string }) => lines.push(`${event.type}: ${event.message}`),
    say: (message: string) => lines.push(message),
    runEnded: () => {},
  };
  return createTeller({ log, verbose, now: () => time });
}

beforeEach(() => {
  lines = [];
  time = 1_000;
});

const repository = { registry: 'registry.example.com:5000', repository: 'team/app' };
const delivery = { source: 'ci', announcements: [], settleMs: 0 };
const pushed = (tag: string): Announcement => ({ kind: 'push', repository, tag, sender: 'plain' });

function ignoring(...ignored: Ignored[]) {
  const receipt = { status: 200, headers: {}, body: '', announcements: [], ignored, settleMs: 0 };
  return { source: 'ci', status: 200, receipt };
}

describe('a refused sender', () => {
  const refusal = { source: 'ci', status: 401, why: 'the signature is wrong' };

  it('is told of once an hour, with how many there were', () => {
    const { answered } = openTeller(false);
    for (let at = 0; at < 5; at++) answered(refusal);
    time += HOUR;
    answered(refusal);
    answered(refusal);
    expect(lines).toEqual([
      'warning: refused a delivery of ci with 401: the signature is wrong',
      'warning: refused a delivery of ci with 401: the signature is wrong, as 4 before',
    ]);
  });

  it('is told of for each status, and not where it is nobody', () => {
    const { answered } = openTeller(false);
    answered(refusal);
    answered({ source: 'ci', status: 503, why: 'too many tags are waiting' });
    answered({ status: 404, why: 'the token in the URL is wrong' });
    expect(lines).toHaveLength(2);
  });
});

describe('an event that leads to nothing', () => {
  it('is told of once for a repository that no rule takes', () => {
    const { announced } = openTeller(false);
    for (const tag of ['1', '2']) announced(delivery, pushed(tag), 'unmatched');
    announced(delivery, pushed('3'), 'queued');
    expect(lines).toEqual(['no rule takes registry.example.com:5000/team/app:1, announced by ci']);
  });

  it('is told of once for a repository that its sender may not speak for', () => {
    const { answered } = openTeller(false);
    answered(ignoring({ reason: 'not-allowed', what: 'registry.example.com:5000/team/app:1' }));
    answered(
      ignoring({ reason: 'not-allowed', what: 'registry.example.com:5000/team/app:2' }, { reason: 'not-a-push' }),
    );
    answered(ignoring({ reason: 'not-allowed', what: 'registry.example.com:5000/team/else:1' }));
    expect(lines).toEqual([
      'ignored an event of ci: not-allowed, registry.example.com:5000/team/app:1',
      'ignored an event of ci: not-allowed, registry.example.com:5000/team/else:1',
    ]);
  });

  it('does not make the process grow, however many there are', () => {
    const { announced, answered } = openTeller(false);
    for (let at = 0; at < 3_000; at++) {
      announced(delivery, { ...pushed('1'), repository: { ...repository, repository: `team/a${at}` } }, 'unmatched');
      answered({ source: `s${at}`, status: 401, why: 'no' });
    }
    expect(lines).toHaveLength(2_000);
  });
});

it('tells with verbose what became of every event', () => {
  const { announced, answered } = openTeller(true);
  announced(delivery, pushed('1'), 'queued');
  announced(delivery, pushed('1'), 'merged');
  announced(delivery, { kind: 'delete', repository, tag: '1', sender: 'plain' }, 'deletion');
  for (const _ of [1, 2]) announced(delivery, pushed('1'), 'unmatched');
  answered(ignoring({ reason: 'not-a-push', what: 'pull of team/app' }, { reason: 'test' }));
  expect(lines).toEqual([
    'ci announced registry.example.com:5000/team/app:1: queued',
    'ci announced registry.example.com:5000/team/app:1: another event of the same push',
    'ci announced registry.example.com:5000/team/app:1: deletions are not mirrored',
    'no rule takes registry.example.com:5000/team/app:1, announced by ci',
    'no rule takes registry.example.com:5000/team/app:1, announced by ci',
    'ignored an event of ci: not-a-push, pull of team/app',
    'ignored an event of ci: test',
  ]);
});
