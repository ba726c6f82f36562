import { setTimeout as sleep } from 'node:timers/promises';
import type { Gate } from '../core/copy/gate.ts';
import { type Failure, toFailure } from '../core/model/errors.ts';
import type { Rule } from '../core/model/rule.ts';
import { planRule } from '../core/pipeline/plan.ts';
import type { Emit } from '../core/pipeline/ports/events.ts';
import { runTask } from '../core/pipeline/run-task.ts';
import { type Bell, createBell } from './bell.ts';
import type { Machine } from './machine.ts';
import { deferTask, endTask, NEXT_ROUND_MS, patience, registriesOf, settleTask } from './settle.ts';
import type { ReceivedMessage } from './state/queue.ts';

export interface DrainOptions {
  machine: Machine;
  runId: string;
  startedAt: number;
  /** By id; empty for a redrive, which has only tasks. */
  rules: ReadonlyMap<string, Rule>;
  force: boolean;
  proc: number;
  /** Tries after the first, which begin when everything had its first. */
  retries: number;
  /** A registry that asks for a longer pause has its tags deferred. */
  maxWaitMs: number;
  emit: Emit;
  signal: AbortSignal;
  /** Rings when somebody else has added messages to the run; without it nobody does. */
  arrivals?: Pick<Bell, 'heard'>;
  /** Shut while a task is at work: others let it go first. */
  gate?: Pick<Gate, 'shut'>;
}

/** This process alone works on its run, and a later one sees by the owner's lock that it died: no need to come back. */
const FOREVER_MS = 7 * 24 * 3_600_000;
const BUSY_MS = 1000;
const ROUND_BASE_MS = 1000;
const ROUND_CAP_MS = 30_000;
/** While blobs are bounded by `--proc`, tasks also wait for manifests: two a blob slot keep the slots full. */
const TASKS_PER_SLOT = 2;

/**
 * Works on the messages of one run until none is left: plans become tasks, tasks become outcomes, what failed for the
 * moment is tried again in rounds, what failed for good goes to the dead letters. Ends early when the signal fires.
 */
export async function drainRun(options: DrainOptions): Promise<void> {
  const { machine, runId, proc, emit, signal } = options;
  const { queue, ledger } = machine;
  const active = new Set<Promise<void>>();
  const announced = new Map<string, number>();
  const throttledSince = new Map<string, number>();
  const limit = proc * TASKS_PER_SLOT;
  const workEnded = createBell();
  let round = 0;
  let crash: unknown;

  while (!signal.aborted && crash === undefined) {
    // Asked for before the looks at the queue, so that nothing that happens meanwhile is missed.
    const news = [workEnded.heard(), ...(options.arrivals === undefined ? [] : [options.arrivals.heard()])];
    const parks = await ledger.parks(Date.now());
    for (const park of parks) {
      if (announced.get(park.registry) === park.until) continue;
      announced.set(park.registry, park.until);
      emit({ type: 'parked', ...park });
    }
    const parked = parks.map((park) => park.registry);
    const request = { runId, owner: runId, visibilityMs: FOREVER_MS, skipRegistries: parked };
    const delivery = active.size < limit ? await queue.receive(request) : undefined;
    if (delivery !== undefined) {
      const handled =
        delivery.kind === 'plan'
          ? handlePlan(options, delivery, throttledSince)
          : handleTask(options, delivery, throttledSince);
      const work = handled.catch((error: unknown) => {
        crash = error;
      });
      active.add(work);
      void work.finally(() => {
        active.delete(work);
        workEnded.ring();
      });
      continue;
    }
    const now = Date.now();
    if (active.size > 0) {
      const next = active.size < limit ? await queue.nextVisibleAt(runId, parked) : undefined;
      await pause(Math.max(1, Math.min(BUSY_MS, (next ?? Number.POSITIVE_INFINITY) - now)), signal, news);
      continue;
    }
    const tooLong = parks.filter((park) => park.until - now > options.maxWaitMs);
    if (tooLong.length > 0 && (await deferParked(options, tooLong, parked))) continue;
    const waitUntil = await nextWork(options, parks);
    if (waitUntil === undefined) break;
    if (waitUntil - now < NEXT_ROUND_MS / 2) {
      await pause(Math.max(1, Math.min(waitUntil - now, 60_000)), signal, news);
      continue;
    }
    round += 1;
    const backoffMs = Math.min(ROUND_CAP_MS, ROUND_BASE_MS * 2 ** (round - 1)) * (0.5 + Math.random() / 2);
    await queue.releaseDelayed(runId, backoffMs);
  }
  await Promise.all(active);
  if (crash !== undefined) throw crash;
}

/** Waits for so long, or for the first of the news. Leaves nothing behind: in a long-lived process it is called without end. */
async function pause(ms: number, signal: AbortSignal, news: Promise<void>[]): Promise<void> {
  const over = new AbortController();
  const end = () => over.abort();
  signal.addEventListener('abort', end, { once: true });
  try {
    await Promise.race([sleep(ms, undefined, { signal: over.signal }).catch(() => {}), ...news]);
  } finally {
    end();
    signal.removeEventListener('abort', end);
  }
}

/** In a run that was taken over by a process with other rules. */
const ruleIsGone: Failure = {
  class: 'permanent',
  code: 'config-invalid',
  message: 'there is no rule of this name any more',
};

/** When there is something to do: the next visible message, or the end of a park that holds messages back. */
async function nextWork(
  { machine, runId }: DrainOptions,
  parks: Array<{ registry: string; until: number }>,
): Promise<number | undefined> {
  const free = await machine.queue.nextVisibleAt(
    runId,
    parks.map((park) => park.registry),
  );
  const held = await machine.queue.nextVisibleAt(runId);
  if (held === undefined || held === free) return free;
  const end = Math.min(...parks.map((park) => park.until));
  return free === undefined ? Math.max(end, held) : Math.min(free, Math.max(end, held));
}

async function handlePlan(
  options: DrainOptions,
  delivery: ReceivedMessage & { kind: 'plan' },
  throttledSince: Map<string, number>,
): Promise<void> {
  const { machine, rules, emit, signal, runId } = options;
  const message = delivery.body;
  const rule = rules.get(message.ruleId);
  const { queue, ledger, copy } = machine;
  if (rule === undefined) {
    await ledger.recordRuleFailure(runId, message.ruleId, ruleIsGone);
    await queue.done(delivery);
    return;
  }
  const deps = { client: copy.client, ledger, queue, emit, signal, now: Date.now };
  try {
    await planRule(deps, { message, rule, force: options.force, runStartedAt: options.startedAt });
    await queue.done(delivery);
  } catch (error) {
    // An interrupted run tells of its open messages itself.
    if (signal.aborted) return;
    const failure = toFailure(error);
    const waitMs = failure.class === 'throttled' ? await patience({ ...options, throttledSince }, failure) : undefined;
    const willWait = waitMs !== undefined;
    const willRetry = willWait || (failure.class === 'transient' && message.attempt < options.retries);
    emit({ type: 'rule-failed', ruleId: rule.id, failure, willRetry });
    if (willRetry) {
      const body = { ...message, attempt: message.attempt + 1 };
      await queue.retry(delivery, { delayMs: willWait ? waitMs : NEXT_ROUND_MS, body });
      return;
    }
    await ledger.recordRuleFailure(runId, rule.id, failure);
    await queue.done(delivery);
  }
}

async function handleTask(
  options: DrainOptions,
  delivery: ReceivedMessage & { kind: 'task' },
  throttledSince: Map<string, number>,
): Promise<void> {
  const { machine, runId, emit } = options;
  const task = delivery.body;
  emit({ type: 'task-started', task });
  // Of its own for each task: one run can have two tasks for a tag that was pushed twice.
  const owner = `${runId}/${delivery.id}`;
  const reopen = options.gate?.shut();
  const deps = { copy: machine.copy, ledger: machine.ledger, now: Date.now, owner };
  const end = await runTask(deps, task).finally(reopen);
  if (end.kind === 'early') await machine.queue.retry(delivery, { delayMs: end.again - Date.now() });
  else await settleTask({ ...options, throttledSince }, delivery, end);
}

/** Tags that would wait longer than the user wants: each is deferred, and redrive can try it later. */
async function deferParked(
  { machine, runId, emit }: DrainOptions,
  tooLong: Array<{ registry: string; until: number; reason: string }>,
  parked: string[],
): Promise<boolean> {
  const { queue, ledger } = machine;
  const names = new Set(tooLong.map((park) => park.registry));
  const skipRegistries = parked.filter((registry) => !names.has(registry));
  const delivery = await queue.receive({ runId, owner: runId, visibilityMs: FOREVER_MS, skipRegistries });
  if (delivery?.kind !== 'task') {
    if (delivery !== undefined) await queue.retry(delivery, { delayMs: 0 });
    return false;
  }
  const task = delivery.body;
  const park = tooLong.find(({ registry }) => registriesOf(task).has(registry)) ?? tooLong[0];
  const failure: Failure = {
    class: 'throttled',
    code: 'throttled',
    message: park?.reason ?? 'the registry asked to be left alone',
    ...(park && { registry: park.registry, retryAt: park.until }),
  };
  await endTask({ queue, ledger, emit }, delivery, deferTask(task, failure));
  return true;
}
