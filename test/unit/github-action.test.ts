import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { errorAnnotations, runAnnotations } from '../../action/annotations.ts';
import { actionCommands, inputFlags, readCommandLine } from '../../action/inputs.ts';
import { reportSummary, runSummary } from '../../action/summary.ts';
import { fitting } from '../../action/workflow.ts';
import { parseCommandLine } from '../../cli/args/args.ts';
import type { Failure } from '../../core/model/errors.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { loadRules } from '../../core/rules/load-rules.ts';

const action = parse(readFileSync(new URL('../../action.yml', import.meta.url), 'utf8'));

const run: RunRecord = {
  id: 'r',
  trigger: 'tranship.yaml',
  startedAt: 0,
  endedAt: 6000,
  state: 'done',
  ruleFailures: [],
  counts: { planned: 3, copied: 1, deleted: 0, unchanged: 1, failed: 1, deferred: 0, bytes: 2048 },
};
const failure: Failure = {
  class: 'permanent',
  code: 'denied',
  message: 'put manifest: no\n::set-output name=a::b | <img src=x> **bold** `x`',
  mend: 'ask for the right, 100%',
};
const outcome = (tag: string, result: Outcome['result']): Outcome => ({
  runId: 'r',
  ruleId: 'team, app: all',
  source: { registry: 'a.example', repository: 'team/app', tag },
  destination: { registry: 'b.example', repository: 'team/app', tag },
  result,
  failure: result === 'failed' ? failure : undefined,
  bytes: 2048,
  mounted: 0,
  present: 0,
  at: 0,
});

describe('the inputs of the action', () => {
  it('are the flags of its commands, and no others', () => {
    const names = ['command', 'args', ...inputFlags().map(({ name }) => name)];
    expect(Object.keys(action.inputs).sort()).toEqual(names.sort());
    expect(action.inputs.command.description).toBe(actionCommands.join(', '));
    expect(action.runs).toEqual({ using: 'node24', main: 'dist/action.cjs' });
  });

  it('make the command line', () => {
    const env = {
      INPUT_COMMAND: 'copy',
      INPUT_ARGS: ' alpine:3.22\n ghcr.io/acme/alpine ',
      'INPUT_MAX-WAIT': '1h',
      INPUT_ARCH: 'amd64\narm64',
      INPUT_STATE: '.tranship',
      INPUT_FORCE: 'false',
      INPUT_RULES: '',
    };
    expect(parseCommandLine(readCommandLine(env))).toMatchObject({
      command: 'copy',
      words: ['alpine:3.22', 'ghcr.io/acme/alpine'],
      flags: { maxWaitMs: 3_600_000, arch: ['amd64', 'arm64'], state: '.tranship', force: false },
    });
  });

  it('give a state only where it is remembered in a directory', () => {
    expect(readCommandLine({ INPUT_COMMAND: 'explain', INPUT_STATE: '.tranship' })).toEqual(['explain', '--']);
    expect(readCommandLine({ INPUT_COMMAND: 'plan', INPUT_STATE: '.tranship', INPUT_STACK: 'T' })).not.toContain(
      '--state=.tranship',
    );
  });

  it('refuse a command that is none of them', () => {
    expect(() => readCommandLine({ INPUT_COMMAND: 'serve' })).toThrow(/"serve"/);
  });
});

describe('what the action tells', () => {
  it('a summary with failures first, in which text from outside is text', () => {
    const text = runSummary('sync', run, [outcome('1', 'copied'), outcome('2', 'failed')]);
    expect(text).toContain('1 copied, 1 unchanged, **1 failed**; 2.0 KiB moved, 6 s');
    expect(text.indexOf('| failed |')).toBeGreaterThan(0);
    expect(text.indexOf('| failed |')).toBeLessThan(text.indexOf('<details>'));
    expect(text).not.toMatch(/<img|\*\*bold|`x`|\n::set-output/);
    const [row = ''] = text.split('\n').filter((line) => line.startsWith('| failed'));
    expect(row.split(' | ')).toHaveLength(4);
  });

  it('no more than the runner takes of a summary, or a step of an output', () => {
    const long = { ...outcome('1', 'failed'), failure: { ...failure, message: '`*鏡'.repeat(600) } };
    const text = runSummary('sync', run, Array<Outcome>(500).fill(long));
    expect(Buffer.byteLength(text)).toBeLessThan(1024 * 1024);
    expect(text).toMatch(/\nand \d+ more/);
    const list = fitting(Array<Outcome>(500).fill(long));
    expect(Buffer.byteLength(JSON.stringify(list))).toBeLessThanOrEqual(120_000);
    expect(Buffer.byteLength(JSON.stringify([...list, long]))).toBeGreaterThan(120_000);
    expect(fitting([1, 2])).toEqual([1, 2]);
  });

  it('a report as it was printed, whatever is in it', () => {
    expect(reportSummary('plan', 'a ```` b\n')).toBe('### tranship plan\n\n`````text\na ```` b\n`````\n\n');
  });

  it('one annotation a rule, at its line', () => {
    const { lines } = loadRules('a.example/team/app: b.example/team/app\n', { file: 'images.yaml', env: {} });
    expect(lines).toEqual({ 'a.example/team/app': 1 });
    const places = { file: 'images.yaml', lines: { 'team, app: all': 7 } };
    const told = runAnnotations(run, [outcome('1', 'failed'), outcome('2', 'failed')], places);
    expect(told).toEqual([
      '::error file=images.yaml,line=7,title=tranship%3A team%2C app%3A all::2 tags failed: denied (permanent): put manifest: no ::set-output name=a::b | <img src=x> **bold** `x`%0Aask for the right, 100%25\n',
    ]);
  });

  it('each line of a file that cannot be read', () => {
    const wrong = 'a.example/x: UPPER/case:\nb.example/y: [c.example/y, 1]\n'.replace('case:', 'case');
    let thrown: unknown;
    try {
      loadRules(wrong, { file: 'images.yaml', env: {} });
    } catch (error) {
      thrown = error;
    }
    const told = errorAnnotations(thrown);
    expect(told.map((line) => /^::error file=images\.yaml,line=(\d),col=\d+,/.exec(line)?.[1])).toEqual(['1', '2']);
  });
});
