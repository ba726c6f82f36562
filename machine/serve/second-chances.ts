import { defaultChances, redriveTrigger, secondChance } from '../../core/pipeline/second-chance.ts';
import { createRunId } from '../run-id.ts';
import type { State } from '../state/state.ts';
import type { PromisedWork } from './work.ts';

/** In one run; the next look takes the next ones. */
const MAX_LETTERS = 1_000;
const MAX_LOOKED_AT = 20_000;

/**
 * Tries dead letters again that may work by now, as a run of its own. A letter that fails again comes back with its
 * tries counted.
 *
 * @returns how many
 */
export function giveSecondChances(
  { deadLetters, runOwners }: Pick<State, 'deadLetters' | 'runOwners'>,
  work: PromisedWork,
  options: { pauseMs: number; now: number },
): number {
  const { pauseMs, now } = options;
  const policy = { ...defaultChances, pauseMs };
  const due = deadLetters
    .list({ classes: ['transient', 'throttled'], limit: MAX_LOOKED_AT })
    .filter(
      ({ task, failure, at }) => secondChance({ failure, redriven: task.redriven, at }, policy, now).kind === 'due',
    )
    .slice(0, MAX_LETTERS);
  if (due.length === 0) return 0;
  const run = { id: createRunId(now), trigger: redriveTrigger, startedAt: now };
  runOwners.promise(run, []);
  const ids = due.map(({ id }) => id);
  deadLetters.take(ids, run.id, now, { durable: true });
  work.begin(run.id, run.trigger);
  return due.length;
}
