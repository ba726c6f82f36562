import type { ReferrersSeen } from './ports/sync-records.ts';

/** How long at most a new signature of an unchanged tag goes unseen, where a rule does not say. */
const DEFAULT_RECHECK_MS = 24 * 3_600_000;
/** Images are often signed in the minutes after their push. */
const FIRST_RECHECK_MS = 10 * 60_000;

/**
 * Whether a source is to be asked again what refers to an image that is in step. Soon after the copy, then ever more
 * rarely: each time after as long as the image has been there, but at least as often as `recheckMs` says.
 *
 * @param at epoch ms at which the destination was made equal
 * @param seen what was seen the last time
 */
export function isReferrersDue(
  { at, seen }: { at: number; seen: Pick<ReferrersSeen, 'at'> },
  { now, recheckMs = DEFAULT_RECHECK_MS }: { now: number; recheckMs?: number },
): boolean {
  // A clock that was set back since.
  if (now < seen.at) return true;
  const pauseMs = Math.min(recheckMs, Math.max(FIRST_RECHECK_MS, seen.at - at));
  return now - seen.at >= pauseMs;
}
