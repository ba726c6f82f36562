import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PullCounts } from '../../../core/pipeline/ports/pulls.ts';
import { pullCounter, pullsLeft, takePull } from '../../../core/pipeline/pull-budget.ts';
import { quotaPause } from '../../../core/registry/quota.ts';
import { openMemoryState } from '../../../machine/state/state.ts';

const HOUR = 3_600_000;
/** Four pulls a day: parts of an hour each. */
const budget = { pulls: 4, windowMs: 24 * HOUR };
const counted = (...parts: PullCounts['parts']): PullCounts => ({ budget, parts });

describe('whether a rule may pull once more', () => {
  it.each<[what: string, parts: PullCounts['parts'], own: number, now: number, result: unknown]>([
    ['the first pull', [], 0, 10.5 * HOUR, [[10 * HOUR, 1]]],
    ['one in the same part', [[10 * HOUR, 1]], 0, 10.9 * HOUR, [[10 * HOUR, 2]]],
    [
      'one in the next part',
      [[10 * HOUR, 3]],
      0,
      11 * HOUR,
      [
        [10 * HOUR, 3],
        [11 * HOUR, 1],
      ],
    ],
    ['one by a clock that is behind', [[11 * HOUR, 1]], 0, 10.5 * HOUR, [[11 * HOUR, 2]]],
    ['one too many', [[10 * HOUR, 4]], 0, 11 * HOUR, 35 * HOUR],
    ['one too many, before the first has left the window', [[10 * HOUR, 4]], 0, 34.9 * HOUR, 35 * HOUR],
    ['one after that', [[10 * HOUR, 4]], 0, 35 * HOUR, [[35 * HOUR, 1]]],
    [
      'one too many: half of the budget is waited for',
      [
        [1 * HOUR, 1],
        [2 * HOUR, 1],
        [9 * HOUR, 2],
      ],
      0,
      9 * HOUR,
      27 * HOUR,
    ],
    ['more than the budget of one image alone', [[10 * HOUR, 9]], 9, 10 * HOUR, [[10 * HOUR, 10]]],
    ['more than the budget beside others', [[10 * HOUR, 9]], 8, 10 * HOUR, 35 * HOUR],
  ])('%s', (_what, parts, own, now, result) => {
    const take = takePull(counted(...parts), budget, own, now);
    expect(take.kind === 'taken' ? take.counts.parts : take.until).toEqual(result);
  });

  it('keeps within the budget in each window, wherever that begins, and goes on in the end', () => {
    const pause = fc.integer({ min: 1, max: 10 * HOUR });
    fc.assert(
      fc.property(
        fc.array(pause, { minLength: 20, maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        (pauses, pulls) => {
          const some = { ...budget, pulls };
          let counts: PullCounts | undefined;
          let now = 0;
          const taken: number[] = [];
          for (const ms of pauses) {
            now += ms;
            let take = takePull(counts, some, 0, now);
            if (take.kind === 'spent') {
              expect(take.until).toBeGreaterThan(now);
              now = take.until;
              take = takePull(counts, some, 0, now);
            }
            if (take.kind === 'spent') throw new Error('the time that was named is too early');
            counts = take.counts;
            taken.push(now);
            expect(taken.filter((at) => at > now - some.windowMs).length).toBeLessThanOrEqual(pulls);
            expect(counts.parts.length).toBeLessThanOrEqual(26);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('tells what is left', () => {
    expect(pullsLeft(counted([10 * HOUR, 3]), 11 * HOUR)).toBe(1);
    expect(pullsLeft(counted([10 * HOUR, 9]), 11 * HOUR)).toBe(0);
    expect(pullsLeft(counted([10 * HOUR, 3]), 35 * HOUR)).toBe(4);
  });
});

describe('workers of one rule', () => {
  it('share its budget, however many count at once', async () => {
    const { ledger, close } = openMemoryState();
    const now = () => 1_800_000_000_000;
    const counters = Array.from({ length: 8 }, () => pullCounter(ledger, { ruleId: 'a', budget, now }));
    const results = await Promise.allSettled(counters.map((count) => count()));
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refused).toHaveLength(4);
    expect(refused[0]).toMatchObject({ class: 'throttled', code: 'throttled', retryAt: expect.any(Number) });
    expect(refused[0].site.registry).toBeUndefined();
    const other = pullCounter(ledger, { ruleId: 'b', budget, now });
    await other();
    expect((await ledger.listPulls()).map(({ ruleId, counts }) => [ruleId, pullsLeft(counts, now())])).toEqual([
      ['a', 0],
      ['b', 3],
    ]);
    close();
  });
});

describe('a registry whose quota is spent', () => {
  const quota = { limit: 100, remaining: 0, windowMs: 6 * HOUR, at: 0 };
  it.each([
    ['was never told', undefined, 0, undefined],
    ['has a pull left', { ...quota, remaining: 1 }, 0, undefined],
    ['is left alone for the time of one pull', quota, 1, 216_000],
    ['is asked again after it', quota, 216_000, undefined],
    ['is left alone for a minute at least', { ...quota, limit: 5000 }, 1, 60_000],
    ['is left alone for an hour at most', { ...quota, limit: 2 }, 1, HOUR],
    ['counts more than there were', { ...quota, remaining: -3 }, 1, 216_000],
  ])('%s', (_what, known, now, until) => {
    expect(quotaPause(known, now)).toBe(until);
  });
});
