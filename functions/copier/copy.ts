import { setTimeout as sleep } from 'node:timers/promises';
import type { CopyContext } from '../../core/copy/context.ts';
import type { Failure } from '../../core/model/errors.ts';
import type { Repository, Target } from '../../core/model/reference.ts';
import type { Timed } from '../../core/pipeline/messages.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { runTask, type TaskDeps, type TaskEnd } from '../../core/pipeline/run-task.ts';
import { parkRegistry } from '../aws/parking.ts';
import { type SqsQueue, sendBackIfEarly } from '../aws/queue.ts';
import { backoffAfter, type RetryPolicy } from '../aws/retry-policy.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

export interface CopierDeps {
  copy: Omit<CopyContext, 'signal'>;
  ledger: Ledger;
  tasks: SqsQueue<Task>;
  deadLetters: SqsQueue<Task>;
  retry: RetryPolicy;
  /** Makes a missing destination where that can be done and is wanted; false where not. */
  createRepository: (repository: Repository) => Promise<boolean>;
  log: Log;
  count: CountUp;
  now: () => number;
}

/** A registry that lets nothing through for so long after the planning does not get better by waiting on. */
const LONGEST_WAIT_MS = 24 * 3_600_000;
/** At most: a destination that another copier is writing is looked at again. */
const BUSY_MS = 20_000;
/** SQS delays by a second at least. */
const LONGEST_IN_PLACE_MS = 300;

/**
 * Works on one task. Every destination ends in an outcome, in a new message, or with the dead letters; then the delivered
 * message is done with. New messages and not another delivery of the same one, since only some destinations may be
 * left, and since a delivery that is counted should be one that broke off.
 *
 * @param options.owner names this invocation in leases
 * @param options.signal fires when the invocation's time is nearly over
 */
export async function copyTask(
  deps: CopierDeps,
  delivered: Timed<Task>,
  options: { owner: string; signal: AbortSignal },
): Promise<void> {
  const { ledger, tasks, log, now } = deps;
  const { owner, signal } = options;
  if (await sendBackIfEarly(tasks, delivered, now())) {
    log.info('task is early and waits on');
    return;
  }
  const task = await setParkedAside(deps, delivered.message);
  if (task === undefined) return;
  deps.copy.emit({ type: 'task-started', task });
  const end = await runAnnounced({ copy: { ...deps.copy, signal }, ledger, now, owner }, task);
  if (end.kind === 'early') {
    await tasks.send([task], { delayMs: end.again - now() });
    log.info('the source is not yet what was announced', { source: task.source, announced: task.hint });
    return;
  }
  const { outcomes, busy } = end;
  const ended = await settle(deps, task, outcomes, signal);
  if (busy.length > 0) {
    log.info('another copier is writing there', { destinations: busy });
    await tasks.send([{ ...task, destinations: busy }], { delayMs: Math.min(BUSY_MS, deps.retry.backoffMs) });
  }
  deps.copy.emit({ type: 'task-finished', task, outcomes: ended });
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

/** @returns what is left of the task that no parked registry has to do with */
async function setParkedAside(deps: CopierDeps, task: Task): Promise<Task | undefined> {
  const parks = new Map((await deps.ledger.parks(deps.now())).map((park) => [park.registry, park]));
  const isFree = ({ registry }: Target) => !parks.has(registry) && !parks.has(task.source.registry);
  const free = task.destinations.filter(isFree);
  if (free.length === task.destinations.length) return task;
  const waiting = task.destinations.filter((target) => !isFree(target));
  const places = [task.source, ...waiting].flatMap(({ registry }) => parks.get(registry) ?? []);
  const park = places.reduce((latest, one) => (one.until > latest.until ? one : latest));
  await waitUntil(deps, task, waiting, park.until, {
    class: 'throttled',
    code: 'throttled',
    message: park.reason,
    registry: park.registry,
    retryAt: park.until,
  });
  return free.length === 0 ? undefined : { ...task, destinations: free };
}

/** Records what has ended, and sends on what has not. */
async function settle(deps: CopierDeps, task: Task, outcomes: Outcome[], signal: AbortSignal): Promise<Outcome[]> {
  const ended: Outcome[] = [];
  const again: Array<{ destination: Target; failure: Failure; delayMs: number }> = [];
  for (const outcome of outcomes) {
    const { failure, destination } = outcome;
    if (failure?.class === 'throttled') {
      await waitUntil(
        deps,
        task,
        [destination],
        await parkRegistry({ ...deps, emit: deps.copy.emit }, failure),
        failure,
      );
    } else if (failure?.class === 'transient') {
      // Stopped by the clock, the rest has waited long enough.
      const delayMs = signal.aborted ? 0 : backoffAfter(deps.retry, task.attempt);
      again.push({ destination, failure, delayMs });
    } else if (failure && isMissing(failure, destination) && (await deps.createRepository(destination))) {
      deps.log.info('repository made', { destination });
      again.push({ destination, failure, delayMs: 0 });
    } else {
      ended.push(outcome);
    }
  }
  for (const outcome of ended) await deps.ledger.recordOutcome(outcome);
  const [first] = again;
  if (first) {
    const { failure, delayMs } = first;
    const destinations = again.map(({ destination }) => destination);
    await tryAgain(deps, { ...task, destinations, attempt: task.attempt + 1, failure }, delayMs, signal.aborted);
  }
  return ended;
}

function isMissing(failure: Failure, { registry, repository }: Target): boolean {
  return failure.code === 'not-found' && failure.registry === registry && failure.repository === repository;
}

async function tryAgain(deps: CopierDeps, task: Task, delayMs: number, isStopped: boolean): Promise<void> {
  const { attempt, destinations, failure } = task;
  if (attempt >= deps.retry.attempts) return setAside(deps, task);
  await deps.tasks.send([task], { delayMs });
  deps.count(isStopped ? 'HandedOver' : 'Retried');
  deps.log.warn(isStopped ? 'time is over: the rest is handed over' : 'to be tried again', {
    attempt,
    delayMs,
    destinations,
    failure,
  });
}

async function waitUntil(
  deps: CopierDeps,
  task: Task,
  destinations: Target[],
  until: number,
  failure: Failure,
): Promise<void> {
  const waiting = { ...task, destinations, failure };
  const now = deps.now();
  if (until - task.plannedAt > LONGEST_WAIT_MS) return setAside(deps, waiting);
  // Spread, so that not all of them come in the first second.
  const delayMs = Math.max(0, until - now) + Math.random() * deps.retry.backoffMs;
  await deps.tasks.send([waiting], { delayMs });
  deps.log.info('waits for a parked registry', { destinations, delayMs, failure });
}

async function setAside(deps: CopierDeps, task: Task): Promise<void> {
  const { attempt, destinations, failure } = task;
  await deps.deadLetters.send([task]);
  deps.count('SetAside');
  deps.log.error('set aside with the dead letters', { attempt, destinations, failure });
}
