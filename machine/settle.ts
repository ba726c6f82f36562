import type { Failure } from '../core/model/errors.ts';
import type { Emit } from '../core/pipeline/ports/events.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import type { Task } from '../core/pipeline/ports/queue.ts';
import type { Outcome } from '../core/pipeline/ports/runs.ts';
import type { TaskEnd } from '../core/pipeline/run-task.ts';
import type { Machine } from './machine.ts';
import type { Queue, ReceivedMessage } from './state/queue.ts';

/** Set aside for the next round; any message that is visible sooner belongs to this one. */
export const NEXT_ROUND_MS = 3650 * 24 * 3_600_000;
/** How soon a destination that another process is writing is looked at again. */
const BUSY_MS = 1000;
/** For a registry that names no time. */
const PARK_MS = 60_000;

export interface SettleOptions {
  machine: Machine;
  retries: number;
  maxWaitMs: number;
  emit: Emit;
  signal: AbortSignal;
  /** Per registry: since when it throttled with no tag done in between, epoch ms. */
  throttledSince: Map<string, number>;
}

type TaskDelivery = ReceivedMessage & { kind: 'task' };

/**
 * Decides what becomes of a tried task, destination by destination: its outcome is recorded, it is tried again in the
 * next round, it waits for a throttling registry, or for another process that writes the same tag. What failed for good,
 * or would wait too long, goes to the dead letters with its reason.
 */
export async function settleTask(
  options: SettleOptions,
  delivery: TaskDelivery,
  end: TaskEnd & { kind: 'ended' },
): Promise<void> {
  const { machine, emit, signal, throttledSince } = options;
  const { queue, ledger } = machine;
  const task = delivery.body;
  const ended: Outcome[] = [];
  const nextRound: Outcome[] = [];
  for (const outcome of end.outcomes) {
    const { failure } = outcome;
    if (failure === undefined) {
      for (const place of [outcome.source, outcome.destination]) throttledSince.delete(place.registry);
      ended.push(outcome);
    } else if (signal.aborted) {
      // Left in the queue: the interrupted run tells of it.
    } else if (failure.class === 'throttled') {
      const waitMs = await patience(options, failure);
      if (waitMs !== undefined)
        await queue.send([{ ...task, destinations: [outcome.destination] }], { delayMs: waitMs });
      else ended.push({ ...outcome, result: 'deferred' });
    } else if (failure.class === 'transient' && task.attempt < options.retries) {
      nextRound.push(outcome);
    } else {
      ended.push(outcome);
    }
  }
  const [first] = nextRound;
  if (first?.failure !== undefined) {
    const destinations = nextRound.map((outcome) => outcome.destination);
    const again = { ...task, destinations, attempt: task.attempt + 1 };
    await queue.send([again], { delayMs: NEXT_ROUND_MS });
    emit({ type: 'task-retrying', task: again, failure: first.failure });
  }
  if (end.busy.length > 0) await queue.send([{ ...task, destinations: end.busy }], { delayMs: BUSY_MS });
  if (signal.aborted) {
    for (const outcome of ended) await ledger.recordOutcome(outcome);
    return;
  }
  await endTask({ queue, ledger, emit }, delivery, ended);
}

/** Records outcomes and takes the task out of the queue; its failed part becomes a dead letter. */
export async function endTask(
  { queue, ledger, emit }: { queue: Queue; ledger: Ledger; emit: Emit },
  delivery: TaskDelivery,
  outcomes: Outcome[],
): Promise<void> {
  for (const outcome of outcomes) await ledger.recordOutcome(outcome);
  if (outcomes.length > 0) emit({ type: 'task-finished', task: delivery.body, outcomes });
  const failed = outcomes.filter((outcome) => outcome.failure !== undefined);
  const [first] = failed;
  if (first?.failure === undefined) {
    await queue.done(delivery);
    return;
  }
  const destinations = failed.map((outcome) => outcome.destination);
  await queue.dead({ ...delivery, body: { ...delivery.body, destinations } }, first.failure);
}

/** The outcomes of a task that is not tried now. */
export function deferTask(task: Task, failure: Failure): Outcome[] {
  return task.destinations.map((destination) => ({
    runId: task.runId,
    ruleId: task.ruleId,
    source: task.source,
    destination,
    result: 'deferred',
    failure,
    bytes: 0,
    mounted: 0,
    present: 0,
    at: Date.now(),
  }));
}

/**
 * Parks a registry that throttles. @returns how long to wait for it, in ms; undefined where that, or what was waited for it
 * with no tag done in between, is more than the user wants
 */
export async function patience(
  { machine, maxWaitMs, throttledSince }: Pick<SettleOptions, 'machine' | 'maxWaitMs' | 'throttledSince'>,
  failure: Failure,
): Promise<number | undefined> {
  const waitMs = await parkRegistry(machine, failure);
  const registry = failure.registry ?? '';
  const since = throttledSince.get(registry) ?? Date.now();
  throttledSince.set(registry, since);
  return waitMs <= maxWaitMs && Date.now() - since <= maxWaitMs ? waitMs : undefined;
}

/** Has every worker leave the registry alone for as long as it asked. @returns that time from now, in ms */
async function parkRegistry({ ledger }: Pick<Machine, 'ledger'>, failure: Failure): Promise<number> {
  const until = failure.retryAt ?? Date.now() + PARK_MS;
  if (failure.registry !== undefined) await ledger.park(failure.registry, until, failure.message);
  return Math.max(0, until - Date.now());
}

export function registriesOf(task: Task): Set<string> {
  return new Set([task.source, ...task.destinations].map((place) => place.registry));
}
