import { type Failure, TranshipError } from '../model/errors.ts';
import { parkAfter } from './parked.ts';
import type { Park } from './ports/parks.ts';
import type { PlanMessage } from './ports/queue.ts';
import { isPatient } from './settle.ts';
import { type Delay, delayAfter, mayWorkLater, type Random, type TryPolicy } from './try-policy.ts';

/** What becomes of a rule that could not be planned. */
export type RuleFate =
  /** Another try, which counts. */
  | { kind: 'again'; message: PlanMessage; delay: Delay }
  /** It waits for a registry. */
  | { kind: 'waits'; message: PlanMessage; delay: Delay; park: Park | undefined }
  /** To be recorded; the park holds for the others. */
  | { kind: 'failed'; failure: Failure; park: Park | undefined };

/**
 * Decides what becomes of a rule that could not be planned.
 * @param state.waitingSince since when the registry has been waited for with nothing done in between, epoch ms
 */
export function settleRule(
  message: PlanMessage,
  failure: Failure,
  policy: TryPolicy,
  state: { now: number; waitingSince: (registry: string) => number; random?: Random },
): RuleFate {
  const { now, waitingSince, random = Math.random } = state;
  if (failure.class === 'throttled') {
    const park = parkAfter(failure, now);
    const until = park?.until ?? failure.retryAt ?? now;
    const since = waitingSince(failure.registry ?? '');
    if (!isPatient({ until }, policy, { now, since })) return { kind: 'failed', failure, park };
    const ms = Math.max(0, until - now) + random() * policy.spreadMs;
    return { kind: 'waits', message, delay: { kind: 'after', ms }, park };
  }
  const attempt = message.attempt + 1;
  if (!mayWorkLater(failure, policy) || attempt >= policy.tries) return { kind: 'failed', failure, park: undefined };
  return { kind: 'again', message: { ...message, attempt }, delay: delayAfter(policy.pause, message.attempt, random) };
}

/** The end of a rule that the rules file does not have any more. */
export function ruleIsGone(ruleId: string): TranshipError {
  return new TranshipError(`the rules file has no rule ${ruleId}`, {
    class: 'permanent',
    code: 'config-invalid',
    mend: 'it was there when the run began; the next run goes by the new rules file',
  });
}
