import { setTimeout as sleep } from 'node:timers/promises';
import type { CopyContext } from '../../core/copy/context.ts';
import { startResumableHash } from '../../core/copy/resumable-hash.ts';
import { atSite, type Failure, toFailure } from '../../core/model/errors.ts';
import type { Repository, Target } from '../../core/model/reference.ts';
import type { Timed } from '../../core/pipeline/messages.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import type { UploadProgressStore } from '../../core/pipeline/ports/upload-progress.ts';
import { runTask } from '../../core/pipeline/run-task.ts';
import {
  deadLetterOf,
  type NextTask,
  type Settlement,
  settleInterrupted,
  settleParked,
  settleTask,
  settleUnrecorded,
} from '../../core/pipeline/settle.ts';
import type { TaskDeps, TaskEnd } from '../../core/pipeline/task-end.ts';
import type { TryPolicy } from '../../core/pipeline/try-policy.ts';
import { type SqsQueue, sendBackIfEarly } from '../aws/queue.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';
import type { Chunking } from './chunking.ts';

export interface CopierDeps {
  copy: Omit<CopyContext, 'signal' | 'resumable'>;
  ledger: Ledger & UploadProgressStore;
  chunking: Chunking;
  /** Where what is left of a task goes: the queue that it came from. */
  tasks: SqsQueue<Task>;
  /** Tasks for workers whose time is not bounded. */
  longTasks: SqsQueue<Task>;
  deadLetters: SqsQueue<Task>;
  policy: TryPolicy;
  /** Makes a missing destination where that can be done and is wanted; false where not. */
  createRepository: (repository: Repository) => Promise<boolean>;
  log: Log;
  count: CountUp;
  now: () => number;
}

/** SQS delays by a second at least. */
const LONGEST_IN_PLACE_MS = 300;

/**
 * Works on one task. Every destination ends in an outcome, in a new message, or with the dead letters; then the delivered
 * message is done with. New messages and not another delivery of the same one, since only some destinations may be
 * left, and since a delivery that is counted should be one that broke off.
 *
 * @param options.owner names this work in leases
 * @param options.isBounded the worker's time is: the signal says that it is nearly over, and the rest goes to another
 *   one. Otherwise it says that the worker is to stop
 * @param options.signal see `isBounded`
 * @param options.chunkSignal fires a little later: it breaks off chunks of uploads that are under way
 * @returns `left`: it was stopped before the end, and the message is to be given back
 */
export async function copyTask(
  deps: CopierDeps,
  delivered: Timed<Task>,
  options: { owner: string; isBounded: boolean; signal: AbortSignal; chunkSignal: AbortSignal },
): Promise<'done' | 'left'> {
  const { ledger, tasks, policy, log, now } = deps;
  const { owner, isBounded, signal, chunkSignal } = options;
  if (await sendBackIfEarly(tasks, delivered, now())) {
    log.info('task is early and waits on');
    return 'done';
  }
  // What is shared by thousands of copiers tells of a registry no better than the time since the task was planned.
  const waitingSince = () => delivered.message.plannedAt;
  const parks = await ledger.parks(now());
  const { free: task, settlement } = settleParked(delivered.message, parks, policy, { now: now(), waitingSince });
  await carryOut(deps, delivered.message, settlement);
  if (task === undefined) return 'done';
  deps.copy.emit({ type: 'task-started', task });
  const resumable = { ...deps.chunking, ledger, owner, chunkSignal, now, startHash: startResumableHash };
  const tried = await runAnnounced({ copy: { ...deps.copy, signal, resumable }, ledger, now, owner }, task);
  if (signal.aborted && !isBounded && tried.kind === 'ended') {
    const succeeded = settleInterrupted(tried);
    await carryOut(deps, task, { succeeded, failed: [], givenUp: [], next: [], parks: [] });
    return succeeded.length < task.destinations.length ? 'left' : 'done';
  }
  const { end, created } = tried.kind === 'ended' ? await createMissing(deps, tried) : { end: tried, created: [] };
  const isTimeOver = signal.aborted && isBounded;
  await carryOut(deps, task, settleTask(task, end, policy, { now: now(), waitingSince, isTimeOver, created }));
  return 'done';
}

/** Waits in place for what is announced as long as that takes less than what SQS can wait for. */
async function runAnnounced(deps: TaskDeps, task: Task): Promise<TaskEnd> {
  while (true) {
    const end = await runTask(deps, task);
    const waitMs = end.kind === 'early' ? end.again - deps.now() : 0;
    if (end.kind === 'ended' || waitMs > LONGEST_IN_PLACE_MS) return end;
    await sleep(waitMs);
  }
}

/**
 * Creates the repositories that destinations failed for. A destination whose repository cannot be made fails for that;
 * the others keep what they have.
 */
async function createMissing<End extends Extract<TaskEnd, { kind: 'ended' }>>(
  { createRepository, log }: CopierDeps,
  end: End,
): Promise<{ end: End; created: Target[] }> {
  const created: Target[] = [];
  const outcomes: Outcome[] = [];
  for (const outcome of end.outcomes) {
    const { destination } = outcome;
    try {
      if (isMissing(outcome.failure, destination) && (await createRepository(destination))) {
        log.info('repository made', { destination });
        created.push(destination);
      }
      outcomes.push(outcome);
    } catch (error) {
      const { registry, repository } = destination;
      outcomes.push({ ...outcome, failure: toFailure(atSite(error, { registry, repository })) });
    }
  }
  return { end: { ...end, outcomes }, created };
}

function isMissing(failure: Failure | undefined, { registry, repository }: Target): boolean {
  return failure?.code === 'not-found' && failure.registry === registry && failure.repository === repository;
}

/**
 * Carries out what was decided of a task. What was given up has no outcome yet: its run goes on while the redrive function gives it
 * second chances.
 */
export async function carryOut(deps: CopierDeps, task: Task, settlement: Settlement): Promise<void> {
  const { ledger, policy, log } = deps;
  const { succeeded, failed, givenUp, next, parks } = settlement;
  for (const { registry, until, reason } of parks) {
    await ledger.park(registry, until, reason);
    deps.copy.emit({ type: 'parked', registry, until, reason });
  }
  const outcomes: Outcome[] = [];
  for (const outcome of [...succeeded, ...failed]) {
    try {
      await ledger.recordOutcome(outcome);
      outcomes.push(outcome);
    } catch (error) {
      // Another delivery of the same message would find it equal, and not know that this run had copied it.
      const unrecorded = settleUnrecorded(task, [outcome], policy);
      if (unrecorded === undefined) throw error;
      await sendOn(deps, { ...unrecorded, task: { ...unrecorded.task, failure: toFailure(error) } });
    }
  }
  for (const one of next) await sendOn(deps, one);
  const dead = deadLetterOf(task, givenUp);
  if (dead !== undefined) {
    await deps.deadLetters.send([{ ...dead, attempt: task.attempt + 1 }]);
    deps.count('SetAside');
    const { attempt, destinations, failure } = dead;
    log.error('set aside with the dead letters', { attempt, destinations, failure });
  }
  if (outcomes.length > 0) deps.copy.emit({ type: 'task-finished', task, outcomes });
}

const messages: Record<NextTask['why'], string> = {
  again: 'to be tried again',
  'handed-over': 'time is over: the rest is handed over',
  'too-long': 'takes longer than a copier has: waits for a long worker',
  waits: 'waits for a parked registry',
  busy: 'another copier is writing there',
  early: 'the source is not yet what was announced',
};

async function sendOn({ tasks, longTasks, log, count }: CopierDeps, { why, task, delay }: NextTask): Promise<void> {
  const delayMs = delay.kind === 'after' ? delay.ms : 0;
  await (why === 'too-long' ? longTasks : tasks).send([task], { delayMs });
  if (why === 'again') count('Retried');
  if (why === 'handed-over') count('HandedOver');
  if (why === 'too-long') count('TooLong');
  const { attempt, destinations, failure, source, hint } = task;
  const isTrouble = why === 'again' || why === 'handed-over' || why === 'too-long';
  log[isTrouble ? 'warn' : 'info'](messages[why], { attempt, delayMs, source, destinations, failure, announced: hint });
}
