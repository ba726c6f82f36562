import { setTimeout as sleep } from 'node:timers/promises';
import { TranshipError } from '../model/errors.ts';
import type { PullBudget } from '../model/rule.ts';
import type { PullCounts, Pulls } from './ports/pulls.ts';
import { backoffAfter } from './try-policy.ts';

/** A window is counted in so many parts, each of which is forgotten as a whole. */
const PARTS = 24;
/** Tries to write counts that other workers write, too. */
const TRIES = 30;
/** Between them: so many workers as write at a time get in each other's way until their pauses are that long. */
const PAUSE = { baseMs: 25, capMs: 4_000 };

/** A pull that was counted, or why not: when so many are free again that going on is worth it, epoch ms. */
export type Take = { kind: 'taken'; counts: PullCounts } | { kind: 'spent'; until: number };

/**
 * Decides whether a rule may pull once more. In no window of its budget's length does it pull more than the budget
 * allows; but an image that has all of a window to itself is finished, however many manifests it has.
 *
 * @param own pulls of the same image in the window, which are in `counts`
 * @param now epoch ms
 */
export function takePull(counts: PullCounts | undefined, budget: PullBudget, own: number, now: number): Take {
  const partMs = budget.windowMs / PARTS;
  // A part is over when its last moment has left the window.
  const parts = (counts?.parts ?? []).filter(([start]) => start + partMs + budget.windowMs > now);
  const used = sumOf(parts);
  if (used < budget.pulls || used <= own) {
    const start = Math.floor(now / partMs) * partMs;
    const last = parts.at(-1);
    // A worker whose clock is behind counts in the latest part.
    if (last !== undefined && last[0] >= start) parts[parts.length - 1] = [last[0], last[1] + 1];
    else parts.push([start, 1]);
    return { kind: 'taken', counts: { budget, parts } };
  }
  // Half of the budget at once: else each part that comes free would wake the same image for one more manifest.
  let free = budget.pulls - used;
  const wanted = Math.ceil(budget.pulls / 2);
  for (const [start, pulls] of parts) {
    free += pulls;
    if (free >= wanted) return { kind: 'spent', until: Math.ceil(start + partMs + budget.windowMs) };
  }
  return { kind: 'spent', until: Math.ceil(now + budget.windowMs) };
}

/** How many pulls of a budget are left. @param now epoch ms */
export function pullsLeft({ budget, parts }: PullCounts, now: number): number {
  const partMs = budget.windowMs / PARTS;
  return Math.max(0, budget.pulls - sumOf(parts.filter(([start]) => start + partMs + budget.windowMs > now)));
}

function sumOf(parts: PullCounts['parts']): number {
  return parts.reduce((sum, [, pulls]) => sum + pulls, 0);
}

/**
 * Counts the pulls of one image against the budget of its rule, which all workers share.
 *
 * @returns to be called before each pull; throws TranshipError `throttled`, without a registry: other rules go on
 */
export function pullCounter(
  ledger: Pick<Pulls, 'readPulls' | 'writePulls'>,
  { ruleId, budget, now }: { ruleId: string; budget: PullBudget; now: () => number },
): () => Promise<void> {
  let own = 0;
  let last = Promise.resolve();

  async function take(): Promise<void> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const stored = await ledger.readPulls(ruleId);
      const decided = takePull(stored?.counts, budget, own, now());
      if (decided.kind === 'spent') throw budgetSpent(ruleId, budget, decided.until);
      const version = (stored?.version ?? 0) + 1;
      if (await ledger.writePulls({ ruleId, counts: decided.counts, version })) {
        own += 1;
        return;
      }
      await sleep(backoffAfter(PAUSE, tries));
    }
    throw new TranshipError(`the pulls of the rule ${ruleId} could not be counted: too many workers count at once`, {
      class: 'transient',
      code: 'protocol',
      operation: 'count pull',
    });
  }

  // One after the other: the children of an index would only be in each other's way.
  return () => {
    const mine = last.then(take);
    last = mine.catch(() => {});
    return mine;
  };
}

function budgetSpent(ruleId: string, { pulls, windowMs }: PullBudget, retryAt: number): TranshipError {
  return new TranshipError(`the rule ${ruleId} has spent its budget of ${pulls} pulls in ${hoursOf(windowMs)}`, {
    class: 'throttled',
    code: 'throttled',
    operation: 'count pull',
    retryAt,
    mend: 'wait, or raise pulls: in the rule',
  });
}

function hoursOf(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`;
}
