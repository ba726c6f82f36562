import { setTimeout as sleep } from 'node:timers/promises';
import type { CopyContext } from '../../core/copy/context.ts';
import { startResumableHash } from '../../core/copy/resumable-hash.ts';
import type { ResumableUploads } from '../../core/copy/resumable-upload.ts';
import type { Failure } from '../../core/model/errors.ts';
import type { Repository, Target } from '../../core/model/reference.ts';
import type { Timed } from '../../core/pipeline/messages.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import type { UploadProgressStore } from '../../core/pipeline/ports/upload-progress.ts';
import { runTask, type TaskDeps, type TaskEnd } from '../../core/pipeline/run-task.ts';
import { deadLetterOf, type NextTask, type Settlement, settleParked, settleTask } from '../../core/pipeline/settle.ts';
import type { TryPolicy } from '../../core/pipeline/try-policy.ts';
import { type SqsQueue, sendBackIfEarly } from '../aws/queue.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

export interface CopierDeps {
  copy: Omit<CopyContext, 'signal' | 'resumable'>;
  ledger: Ledger & UploadProgressStore;
  /** Which blobs are uploaded in chunks, how long these are, and how they go to ECR. */
  chunking: Pick<ResumableUploads, 'fromBytes' | 'chunkBytes' | 'transport'>;
  tasks: SqsQueue<Task>;
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
 * @param options.owner names this invocation in leases
 * @param options.signal fires when the invocation's time is nearly over
 * @param options.chunkSignal fires a little later: it breaks off chunks of uploads that are under way
 */
export async function copyTask(
  deps: CopierDeps,
  delivered: Timed<Task>,
  options: { owner: string; signal: AbortSignal; chunkSignal: AbortSignal },
): Promise<void> {
  const { ledger, tasks, policy, log, now } = deps;
  const { owner, signal, chunkSignal } = options;
  if (await sendBackIfEarly(tasks, delivered, now())) {
    log.info('task is early and waits on');
    return;
  }
  // What is shared by thousands of copiers tells of a registry no better than the time since the task was planned.
  const waitingSince = () => delivered.message.plannedAt;
  const parks = await ledger.parks(now());
  const { free: task, settlement } = settleParked(delivered.message, parks, policy, { now: now(), waitingSince });
  await carryOut(deps, delivered.message, settlement);
  if (task === undefined) return;
  deps.copy.emit({ type: 'task-started', task });
  const resumable = { ...deps.chunking, ledger, owner, chunkSignal, now, startHash: startResumableHash };
  const end = await runAnnounced({ copy: { ...deps.copy, signal, resumable }, ledger, now, owner }, task);
  const created = end.kind === 'ended' ? await createMissing(deps, end) : [];
  const isTimeOver = signal.aborted;
  await carryOut(deps, task, settleTask(task, end, policy, { now: now(), waitingSince, isTimeOver, created }));
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

/** Creates the repositories that destinations failed for; returns these destinations. */
async function createMissing(deps: CopierDeps, { outcomes }: Extract<TaskEnd, { kind: 'ended' }>): Promise<Target[]> {
  const created: Target[] = [];
  for (const { destination, failure } of outcomes) {
    if (!isMissing(failure, destination) || !(await deps.createRepository(destination))) continue;
    deps.log.info('repository made', { destination });
    created.push(destination);
  }
  return created;
}

function isMissing(failure: Failure | undefined, { registry, repository }: Target): boolean {
  return failure?.code === 'not-found' && failure.registry === registry && failure.repository === repository;
}

/**
 * Carries out what was decided of a task. What was given up has no outcome yet: its run goes on while the redrive function gives it
 * second chances.
 */
export async function carryOut(deps: CopierDeps, task: Task, settlement: Settlement): Promise<void> {
  const { ledger, log } = deps;
  const { succeeded, failed, givenUp, next, parks } = settlement;
  for (const { registry, until, reason } of parks) {
    await ledger.park(registry, until, reason);
    deps.copy.emit({ type: 'parked', registry, until, reason });
  }
  const outcomes = [...succeeded, ...failed];
  for (const outcome of outcomes) await ledger.recordOutcome(outcome);
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
  waits: 'waits for a parked registry',
  busy: 'another copier is writing there',
  early: 'the source is not yet what was announced',
};

async function sendOn({ tasks, log, count }: CopierDeps, { why, task, delay }: NextTask): Promise<void> {
  const delayMs = delay.kind === 'after' ? delay.ms : 0;
  await tasks.send([task], { delayMs });
  if (why === 'again') count('Retried');
  if (why === 'handed-over') count('HandedOver');
  const { attempt, destinations, failure, source, hint } = task;
  const isTrouble = why === 'again' || why === 'handed-over';
  log[isTrouble ? 'warn' : 'info'](messages[why], { attempt, delayMs, source, destinations, failure, announced: hint });
}
