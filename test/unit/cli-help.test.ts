import { describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../cli/args/args.ts';
import { renderCompletion } from '../../cli/args/completion.ts';
import { type Command, commands, flagsOf, shells } from '../../cli/args/flags.ts';
import { renderHelp } from '../../cli/args/help.ts';
import { exitCodeOfRun } from '../../cli/exit-codes.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';

const topics = [undefined, ...(Object.keys(commands) as Command[])];

describe('help', () => {
  it.each(topics)('of %s fits 80 columns', (topic) => {
    expect(
      renderHelp(topic)
        .split('\n')
        .filter((line) => line.length > 80),
    ).toEqual([]);
  });

  it('of a command names each of its flags and no other', () => {
    const named = [...renderHelp('status').matchAll(/--([a-z-]+)/g)].map(([, name]) => name);
    expect(new Set(named)).toEqual(new Set([...flagsOf('status').map(({ name }) => name), 'help']));
  });

  it('gives examples that are command lines', () => {
    for (const topic of topics) {
      const examples = renderHelp(topic).matchAll(/^ {2}tranship (.+?) {2,}/gm);
      for (const [, line] of examples) {
        const argv = line!.replace(' | source', '').split(' ');
        expect(parseCommandLine(argv).command, line).toBe(topic === undefined ? parseCommandLine(argv).command : topic);
      }
    }
  });
});

describe('completion', () => {
  it.each(shells)('for %s knows every command, every flag and the choices', (shell) => {
    const script = renderCompletion(shell);
    for (const word of [...Object.keys(commands), ...flagsOf().map(({ name }) => name), 'throttled', 'yaml json']) {
      expect(script).toContain(word);
    }
    expect(script).not.toContain('records');
  });
});

describe('the exit code of a run', () => {
  const run: RunRecord = {
    id: 'r',
    trigger: 't',
    startedAt: 0,
    endedAt: 1,
    state: 'done',
    ruleFailures: [],
    counts: { planned: 3, copied: 1, deleted: 0, unchanged: 2, failed: 0, deferred: 0, bytes: 0 },
  };
  const failure = { class: 'permanent', code: 'not-found', message: 'gone' } as const;

  it('is 0 only where every planned tag is in step', () => {
    expect(exitCodeOfRun(run)).toBe(0);
    expect(exitCodeOfRun({ ...run, counts: { ...run.counts, copied: 0, failed: 1 } })).toBe(1);
    expect(exitCodeOfRun({ ...run, counts: { ...run.counts, copied: 0, deferred: 1 } })).toBe(1);
    expect(exitCodeOfRun({ ...run, counts: { ...run.counts, copied: 0 } })).toBe(1);
    expect(exitCodeOfRun({ ...run, ruleFailures: [{ ruleId: 'x', failure }] })).toBe(1);
    expect(exitCodeOfRun({ ...run, state: 'interrupted' })).toBe(1);
  });
});
