import { countEnded, type RunRecord } from './ports/runs.ts';
import type { TryPolicy } from './try-policy.ts';

const LONGEST_FIRST_LOOK_MS = 15_000;
const LONGEST_PAUSE_MS = 15 * 60_000;
/** No message lives longer (SQS retention): what has no outcome by then never gets one. */
const GIVE_UP_MS = 14 * 24 * 3_600_000;

/** What a look at a run leads to, where nobody is there to see its end. */
export type RunLook =
  /** Everything has its outcome. */
  | { kind: 'complete' }
  /** Something never got its outcome. */
  | { kind: 'lost' }
  | { kind: 'goes-on'; lookAgainMs: number };

/**
 * True where nothing of a running run is to come: every rule is expanded and every planned destination tag has its
 * outcome. More outcomes than planned are possible (a tag list that changed between two deliveries of one plan
 * message).
 *
 * False for a run that was started without `rules`: its owner knows the end by other means.
 */
export function isRunComplete(run: RunRecord): boolean {
  if (run.state !== 'running' || run.rules === undefined) return false;
  return run.rules.expanded >= run.rules.total && countEnded(run.counts) >= run.counts.planned;
}

/** When to look for the first time: a run with nothing to do is over in seconds. Milliseconds after its start. */
export function firstLookMs({ busyMs }: Pick<TryPolicy, 'busyMs'>): number {
  return Math.min(LONGEST_FIRST_LOOK_MS, busyMs);
}

/**
 * Decides what a look at a running run leads to. A look reads all outcomes of the run, a thousand a second at most, so
 * the larger the run and the longer it takes, the rarer: reading stays under 0.1 % of the run.
 *
 * @param looks how many there were before this one
 * @param now epoch ms
 */
export function lookAtRun(run: RunRecord, looks: number, policy: Pick<TryPolicy, 'busyMs'>, now: number): RunLook {
  if (isRunComplete(run)) return { kind: 'complete' };
  if (now - run.startedAt > GIVE_UP_MS) return { kind: 'lost' };
  const growingMs = Math.max(firstLookMs(policy) * 1.5 ** Math.min(looks, 20), run.counts.planned);
  return { kind: 'goes-on', lookAgainMs: Math.min(growingMs, LONGEST_PAUSE_MS) };
}
