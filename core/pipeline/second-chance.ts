import type { Failure } from '../model/errors.ts';
import { platformKey } from '../model/platform.ts';
import { formatTarget, type Target } from '../model/reference.ts';
import type { Task } from './ports/queue.ts';
import type { Outcome, Runs } from './ports/runs.ts';
import { isStanding, type SyncRecord, type SyncRecords } from './ports/sync-records.ts';

/** Second chances of what was given up, without a person asking for them. */
export interface ChancePolicy {
  /** How many, one after the other. */
  chances: number;
  /** Milliseconds before the first. Each next pause is four times as long, up to six hours. */
  pauseMs: number;
}

/** What runs of dead letters say started them: each of their tags failed before. */
export const redriveTrigger = 'redrive';

export type Chance = { kind: 'due' } | { kind: 'later'; at: number } | { kind: 'none' };

/**
 * Most outages of a registry are over within an hour, a few last a night; what fails for longer needs a person, and the
 * next scheduled run tries it anyway. Five chances from a quarter of an hour on reach 17 hours: 15 min, 1 h, 4 h, 6 h,
 * 6 h.
 */
export const defaultChances: ChancePolicy = { chances: 5, pauseMs: 15 * 60_000 };

const GROWTH = 4;
const LONGEST_PAUSE_MS = 6 * 3_600_000;

/**
 * Why a task is a dead letter that has no reason of its own: its worker was killed each time, for example out of
 * memory.
 */
export const BROKEN_OFF: Failure = {
  class: 'transient',
  code: 'aborted',
  message: 'its worker broke off in each of its tries, without an answer',
  mend: 'see the log of the worker; more memory may help',
};

/**
 * Whether a task that was given up is tried again by itself, and when.
 * @param letter.redriven how many chances it has had
 * @param letter.at when it was given up, epoch ms
 */
export function secondChance(
  letter: { failure: Pick<Failure, 'class' | 'retryAt'>; redriven?: number; at: number },
  { chances, pauseMs }: ChancePolicy,
  now: number,
): Chance {
  const { failure, redriven = 0 } = letter;
  const mayWork = failure.class === 'transient' || failure.class === 'throttled';
  if (!mayWork || redriven >= chances) return { kind: 'none' };
  const growingMs = Math.min(pauseMs * GROWTH ** Math.min(redriven, 20), LONGEST_PAUSE_MS);
  const at = Math.max(letter.at + growingMs, failure.retryAt ?? 0);
  return at <= now ? { kind: 'due' } : { kind: 'later', at };
}

/** Which of the things that failed are to be tried again; all where nothing is said. */
export interface FailureFilter {
  class?: Failure['class'];
  code?: Failure['code'];
  ruleId?: string;
}

export function passesFilter(filter: FailureFilter, ruleId: string, failure: Failure): boolean {
  return (
    (filter.class ?? failure.class) === failure.class &&
    (filter.code ?? failure.code) === failure.code &&
    (filter.ruleId ?? ruleId) === ruleId
  );
}

/** A dead letter as a task with new tries. */
export function redriveTask(task: Task, destinations: Target[]): Task {
  return { ...task, destinations, attempt: 0, redriven: (task.redriven ?? 0) + 1 };
}

/**
 * Whether a destination was made equal since, by a doubled task or a later run, so that the task has nothing to do
 * there.
 */
export function isSatisfied(task: Task, record: SyncRecord | undefined): boolean {
  return (
    !task.force &&
    task.hint !== undefined &&
    record !== undefined &&
    isStanding(record) &&
    record.at > task.plannedAt &&
    record.sourceDigest === task.hint &&
    record.platforms === platformKey(task.platforms)
  );
}

/** Runs that are looked through for what failed: those of the last weeks, at one an hour or so. */
const RUNS_LOOKED_AT = 500;

/**
 * The destinations that failed for good in earlier runs and are not in step since, as tasks of a new run. Each
 * destination once, by its latest failure.
 *
 * @param limit how many at most
 */
export async function collectFailed(
  ledger: Pick<Runs, 'listRuns' | 'readOutcomes'> & Pick<SyncRecords, 'read'>,
  filter: FailureFilter,
  { runId, now, limit, isOver }: { runId: string; now: number; limit: number; isOver: () => boolean },
): Promise<Task[]> {
  const tasks: Task[] = [];
  const seen = new Set<string>();
  for (const run of await ledger.listRuns(RUNS_LOOKED_AT)) {
    if (run.state === 'running' || run.counts.failed + run.counts.deferred === 0) continue;
    for await (const page of ledger.readOutcomes(run.id, ['failed', 'deferred'])) {
      for (const outcome of page) {
        const key = `${outcome.ruleId} ${formatTarget(outcome.destination)}`;
        if (seen.has(key)) continue;
        if (isOver()) return tasks;
        seen.add(key);
        const task = await taskOf(ledger, outcome, filter, { runId, now });
        if (task !== undefined) tasks.push(task);
        if (tasks.length >= limit) return tasks;
      }
    }
  }
  return tasks;
}

async function taskOf(
  ledger: Pick<SyncRecords, 'read'>,
  { ruleId, source, destination, failure, platforms, deletion, at }: Outcome,
  filter: FailureFilter,
  { runId, now }: { runId: string; now: number },
): Promise<Task | undefined> {
  // Some outcomes do not say what another try needs (platformsToRetry); the next scheduled run tries them.
  // What failed to be deleted is decided anew by the next run.
  if (deletion !== undefined || failure === undefined || platforms === undefined) return undefined;
  if (!passesFilter(filter, ruleId, failure)) return undefined;
  const record = await ledger.read(destination);
  if (record !== undefined && record.at > at) return undefined;
  return {
    version: 1,
    runId,
    ruleId,
    source,
    destinations: [destination],
    platforms,
    force: false,
    plannedAt: now,
    attempt: 0,
    failure,
    redriven: 1,
  };
}
