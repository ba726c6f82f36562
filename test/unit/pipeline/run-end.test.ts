import { expect, it } from 'vitest';
import type { RunRecord } from '../../../core/pipeline/ports/runs.ts';
import { firstLookMs, isRunComplete, lookAtRun } from '../../../core/pipeline/run-end.ts';
import { cloudPolicy } from '../../../core/pipeline/try-policy.ts';

const DAY = 24 * 3_600_000;
const policy = cloudPolicy({ tries: 5, backoffMs: 30_000 });

function runWith(counts: Partial<RunRecord['counts']>, fields: Partial<RunRecord> = {}): RunRecord {
  return {
    id: 'run',
    trigger: 'test',
    startedAt: 0,
    state: 'running',
    rules: { total: 1, expanded: 1 },
    ruleFailures: [],
    counts: { planned: 0, copied: 0, deleted: 0, unchanged: 0, failed: 0, deferred: 0, bytes: 0, ...counts },
    ...fields,
  };
}

it.each([
  ['every planned tag has its outcome', runWith({ planned: 3, copied: 1, unchanged: 1, failed: 1 }), true],
  ['there was nothing to do', runWith({}), true],
  ['more ended than was planned', runWith({ planned: 1, copied: 2 }), true],
  ['a tag has no outcome', runWith({ planned: 3, copied: 2 }), false],
  ['a rule is not expanded', runWith({ planned: 1, copied: 1 }, { rules: { total: 2, expanded: 1 } }), false],
  ['its owner knows the end by other means', runWith({}, { rules: undefined }), false],
  ['it has ended', runWith({}, { state: 'done' }), false],
])('a run where %s: complete is %3$s', (_what, run, isComplete) => {
  expect(isRunComplete(run)).toBe(isComplete);
});

it('is looked at soon, then ever more rarely, and more rarely the larger it is', () => {
  const open = (planned: number) => runWith({ planned, copied: planned - 1 });
  const pauses = [0, 1, 2, 30].map((looks) => lookAtRun(open(2), looks, policy, 0));
  expect(firstLookMs(policy)).toBe(15_000);
  expect(pauses).toMatchObject([15_000, 22_500, 33_750, 900_000].map((lookAgainMs) => ({ lookAgainMs })));
  expect(lookAtRun(open(100_000), 0, policy, 0)).toEqual({ kind: 'goes-on', lookAgainMs: 100_000 });
});

it('is given up when no message of it can live any more', () => {
  const open = runWith({ planned: 1 });
  expect(lookAtRun(open, 5, policy, 14 * DAY)).toMatchObject({ kind: 'goes-on' });
  expect(lookAtRun(open, 5, policy, 14 * DAY + 1)).toEqual({ kind: 'lost' });
  expect(lookAtRun(runWith({}), 5, policy, 15 * DAY)).toEqual({ kind: 'complete' });
});
