import { createRunId } from '../run-id.ts';
import type { DeadLetter } from '../state/dead-letters.ts';
import type { State } from '../state/state.ts';
import type { PromisedWork } from './work.ts';

/** Then it takes a person: `tranship redrive`. With ten minutes to begin with, the last try is a day and a half after the first. */
const MAX_TRIES = 8;
const LONGEST_PAUSE_MS = 12 * 3_600_000;
/** In one run; the next look takes the next ones. */
const MAX_LETTERS = 1_000;
const MAX_LOOKED_AT = 20_000;

/** Whether it is time to try a dead letter again, and worth it. @param pauseMs after the first failure; it doubles with each try */
export function isDue({ task, failure, at }: DeadLetter, pauseMs: number, now: number): boolean {
  const tries = task.redriven ?? 0;
  const dueAt = Math.max(at + Math.min(LONGEST_PAUSE_MS, pauseMs * 2 ** tries), failure.retryAt ?? 0);
  return tries < MAX_TRIES && dueAt <= now;
}

/**
 * Tries dead letters again that may work by now, as a run of its own. A letter that fails again comes back with its tries
 * counted.
 *
 * @returns how many
 */
export function giveSecondChances(
  { deadLetters, runOwners }: Pick<State, 'deadLetters' | 'runOwners'>,
  work: PromisedWork,
  options: { pauseMs: number; now: number },
): number {
  const { pauseMs, now } = options;
  const due = deadLetters
    .list({ classes: ['transient', 'throttled'], limit: MAX_LOOKED_AT })
    .filter((letter) => isDue(letter, pauseMs, now))
    .slice(0, MAX_LETTERS);
  if (due.length === 0) return 0;
  const run = { id: createRunId(now), trigger: 'redrive', startedAt: now };
  runOwners.promise(run, []);
  const ids = due.map(({ id }) => id);
  deadLetters.take(ids, run.id, now, { durable: true });
  work.begin(run.id, run.trigger);
  return due.length;
}
