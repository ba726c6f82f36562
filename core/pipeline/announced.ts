import { headManifest } from '../registry/manifests.ts';
import type { Seen, Task } from './ports/queue.ts';
import type { Early, TaskDeps } from './task-end.ts';

/** Most announced tags can be read at the first look, the others a few milliseconds later. */
const SHORTEST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/**
 * Registries of many servers announce a push once, and may show it only minutes later; and image and signature are
 * pushed one after the other. So long the first one is waited for by a task that nobody waits for.
 */
const PATIENCE_MS = 5 * 60_000;
/** An announcement without a digest may be of what the tag is already: a push of the same image again. */
const SHORT_PATIENCE_MS = 20_000;
const SHORTEST_PATIENT_PAUSE_MS = 1_000;

/**
 * When to look again for what was announced, or for what belongs to it, after pauses that double.
 * @param plannedAt epoch ms at which it was announced
 * @returns epoch ms; undefined where it was waited for long enough
 */
export function nextPatientLook(plannedAt: number, now: number, patienceMs = PATIENCE_MS): number | undefined {
  const again = now + Math.max(SHORTEST_PATIENT_PAUSE_MS, now - plannedAt);
  return again <= plannedAt + patienceMs ? again : undefined;
}

/**
 * Looks for what was announced at the source, and says when to look again. At first each pause is as long as the time
 * waited so far, within bounds; once the source was seen without it, for minutes. A waiting task holds no lease, because
 * a newer push of the tag may be ready, and no worker, because the announced digest may never come.
 *
 * @returns epoch ms; undefined when the digest is there or the wait is over, so that the source is copied as it is
 */
export async function nextLook({ copy: { client, signal }, now }: TaskDeps, task: Task): Promise<number | undefined> {
  const { source, hint, settleUntil = 0, plannedAt, seen } = task;
  const isSettling = hint !== undefined && now() < settleUntil;
  if (!isSettling && seen === undefined) return undefined;
  try {
    const head = await headManifest(client, source, { signal });
    if (hint !== undefined && head?.digest === hint) return undefined;
    if (seen !== undefined) {
      return (head?.digest ?? 'nothing') === seen
        ? nextPatientLook(plannedAt, now(), patienceFor(task, seen))
        : undefined;
    }
  } catch {
    // The copy will fail in the same way and report it.
    return undefined;
  }
  const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, now() - plannedAt));
  return Math.min(settleUntil, now() + pauseMs);
}

/**
 * What becomes of an announced push of which nothing is to be seen: the tag is not there, or is what it was before. A
 * registry may show a push later than it announces it. A tag that is something new has moved on: it is copied as it is,
 * and a newer push has an announcement of its own.
 *
 * @param seen what the source was found to be; a digest where all destinations were made of it before the announcement
 * @returns when to look again, or what an outcome says of a push that never came; undefined where neither is so
 */
export async function awaitAnnounced(
  { copy: { client, signal }, now }: TaskDeps,
  task: Task,
  seen: Seen,
): Promise<Early | { kind: 'never'; note: string } | undefined> {
  const { source, hint, plannedAt } = task;
  if (seen === hint || (seen !== 'nothing' && !isFirstHand(task))) return undefined;
  if (hint !== undefined && seen !== 'nothing') {
    const { registry, repository } = source;
    // What can be read was pushed, and is not what the tag is: the announcement is old.
    const head = await headManifest(client, { registry, repository, digest: hint }, { signal });
    if (head !== undefined) return undefined;
  }
  const again = isFirstHand(task) ? nextPatientLook(plannedAt, now(), patienceFor(task, seen)) : undefined;
  if (again !== undefined) return { kind: 'early', again, seen };
  if (hint === undefined && seen !== 'nothing') return undefined;
  const what = hint === undefined || hint === source.digest ? 'it' : hint;
  return { kind: 'never', note: `${what} was announced, and is not at the source` };
}

/** Whether the task was made of an announcement just now, and not by somebody who asked for what failed again. */
function isFirstHand({ pushed, redriven }: Pick<Task, 'pushed' | 'redriven'>): boolean {
  return pushed === true && redriven === undefined;
}

function patienceFor({ hint }: Task, seen: Seen): number {
  return hint === undefined && seen !== 'nothing' ? SHORT_PATIENCE_MS : PATIENCE_MS;
}
