import type { Gate } from '../core/copy/gate.ts';
import { toFailure } from '../core/model/errors.ts';
import type { Rule } from '../core/model/rule.ts';
import { longestPark, parkedFailure } from '../core/pipeline/parked.ts';
import { planRule } from '../core/pipeline/plan.ts';
import { planName } from '../core/pipeline/plan-name.ts';
import type { Emit } from '../core/pipeline/ports/events.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import type { Park } from '../core/pipeline/ports/parks.ts';
import type { PlanMessage, Task } from '../core/pipeline/ports/queue.ts';
import { ruleIsGone, settleRule } from '../core/pipeline/rule-failure.ts';
import { runTask } from '../core/pipeline/run-task.ts';
import { deferTask, settleInterrupted, settleTask } from '../core/pipeline/settle.ts';
import { backoffAfter, type TryPolicy } from '../core/pipeline/try-policy.ts';
import { onAbort } from '../core/registry/abort.ts';
import { type Bell, createBell } from './bell.ts';
import type { Machine } from './machine.ts';
import { carryOut, createThrottles, type Throttles } from './settle.ts';
import type { Queue, ReceivedMessage } from './state/queue.ts';

export interface DrainOptions {
  machine: Machine;
  runId: string;
  /**
   * Epoch ms: what the ledger learned since is the run's own work. Left out where a run plans a rule more than once.
   */
  startedAt?: number;
  /** By id; empty for a redrive, which has only tasks. */
  rules: ReadonlyMap<string, Rule>;
  force: boolean;
  /** Blobs in flight at a time. */
  proc: number;
  policy: TryPolicy;
  emit: Emit;
  signal: AbortSignal;
  /** The run's work was promised to somebody outside: what comes of it is on the disk before anything is forgotten. */
  durable?: boolean;
  /** Rings when somebody else has added messages to the run; without it nobody does. */
  arrivals?: Pick<Bell, 'heard'>;
  /** Shut while a task is at work: others let it go first. */
  gate?: Pick<Gate, 'shut'>;
}

/** This process alone works on its run, and a later one sees by the owner's lock that it died: no need to come back. */
const FOREVER_MS = 7 * 24 * 3_600_000;
const LOOK_AGAIN_MS = 1000;
const PARKS_EVERY_MS = 100;
const ROUND_BACKOFF = { baseMs: 1000, capMs: 30_000 };
/** While blobs are bounded by `--proc`, tasks also wait for manifests: two a blob slot keep the slots full. */
const TASKS_PER_SLOT = 2;
/** Messages are received so many at a time. It costs a transaction. */
const RECEIVED_AT_ONCE = 16;

/**
 * Works on the messages of one run until none is left: plans become tasks, tasks become outcomes, what failed for the
 * moment is tried again in rounds, what failed for good goes to the dead letters. Ends early when the signal fires.
 */
export async function drainRun(options: DrainOptions): Promise<void> {
  const { machine, runId, proc, emit, signal } = options;
  const { queue, ledger } = machine;
  /** Received, and not begun. */
  const ready: ReceivedMessage[] = [];
  /** Also those that are done but for the commit of what came of them: they take no slot any more. */
  const active = new Set<Promise<void>>();
  let working = 0;
  const announced = new Map<string, number>();
  const throttles = createThrottles(Date.now);
  const parksOf = parksReader(ledger, throttles);
  const limit = proc * TASKS_PER_SLOT;
  const workEnded = createBell();
  let round = 0;
  let crash: unknown;

  while (!signal.aborted && crash === undefined) {
    // Asked for before the looks at the queue, so that nothing that happens meanwhile is missed.
    const news = [workEnded.heard(), ...(options.arrivals === undefined ? [] : [options.arrivals.heard()])];
    const parks = await parksOf(Date.now());
    for (const park of parks) {
      if (announced.get(park.registry) === park.until) continue;
      announced.set(park.registry, park.until);
      emit({ type: 'parked', ...park });
    }
    const parked = parks.map((park) => park.registry);
    const isFull = working >= limit;
    await putBackParked(queue, ready, parks);
    if (!isFull && ready.length === 0) {
      const request = { runId, owner: runId, visibilityMs: FOREVER_MS, most: RECEIVED_AT_ONCE };
      ready.push(...(await queue.receive({ ...request, skipRegistries: parked })));
    }
    const delivery = isFull ? undefined : ready.shift();
    if (delivery !== undefined) {
      working += 1;
      let hasSlot = true;
      const leaveSlot = () => {
        if (hasSlot) working -= 1;
        hasSlot = false;
        workEnded.ring();
      };
      const handled =
        delivery.kind === 'plan'
          ? handlePlan(options, delivery, throttles)
          : handleTask(options, delivery, throttles, leaveSlot);
      const work = handled.catch((error: unknown) => {
        crash = error;
      });
      active.add(work);
      void work.finally(() => {
        active.delete(work);
        leaveSlot();
      });
      continue;
    }
    const now = Date.now();
    if (active.size > 0) {
      const next = isFull ? undefined : await queue.nextVisibleAt(runId, parked);
      const dueInMs = typeof next === 'number' ? next - now : LOOK_AGAIN_MS;
      await pause(Math.max(1, Math.min(LOOK_AGAIN_MS, dueInMs)), signal, news);
      continue;
    }
    const tooLong = parks.filter((park) => park.until - now > options.policy.patienceMs);
    if (tooLong.length > 0 && (await deferParked(options, tooLong, parked))) continue;
    const next = await nextWork(options, parks);
    if (next === undefined) break;
    if (next === 'next-round') {
      await queue.beginRound(runId, backoffAfter(ROUND_BACKOFF, round));
      round += 1;
    } else await pause(Math.max(1, Math.min(next - now, 60_000)), signal, news);
  }
  await Promise.all(active);
  if (crash !== undefined) throw crash;
}

/**
 * The parks that hold at a time. Those of other processes are seen a moment later: they are looked for before each task,
 * and each look is a query.
 */
function parksReader(ledger: Ledger, throttles: Throttles): (now: number) => Promise<Park[]> {
  let known: Park[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  let parked = throttles.parked();
  return async (now) => {
    const isOld = now - readAt >= PARKS_EVERY_MS || now < readAt;
    if (isOld || throttles.parked() !== parked) {
      parked = throttles.parked();
      readAt = now;
      known = await ledger.parks(now);
    } else if (known.length > 0) known = known.filter(({ until }) => until > now);
    return known;
  };
}

/**
 * Waits for so long, or for the first of the news. Leaves nothing behind: in a long-lived process it is called without
 * end.
 */
async function pause(ms: number, signal: AbortSignal, news: Promise<void>[]): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  const timer = setTimeout(end, ms);
  const ignoreSignal = onAbort(signal, end);
  try {
    await Promise.race([over, ...news]);
  } finally {
    clearTimeout(timer);
    ignoreSignal();
  }
}

/**
 * When there is something to do: the next visible message, the end of a park that holds messages back, or the next
 * round.
 */
async function nextWork({ machine, runId }: DrainOptions, parks: Park[]): Promise<number | 'next-round' | undefined> {
  const registries = parks.map((park) => park.registry);
  const free = await machine.queue.nextVisibleAt(runId, registries);
  const held = await machine.queue.nextVisibleAt(runId);
  if (held === undefined || held === free) return free;
  // `held` is due earlier than `free`, so it is not the next round's.
  const parksEnd = Math.min(...parks.map((park) => park.until));
  const heldUntil = Math.max(parksEnd, held === 'next-round' ? parksEnd : held);
  return typeof free === 'number' ? Math.min(free, heldUntil) : heldUntil;
}

async function handlePlan(
  options: DrainOptions,
  delivery: ReceivedMessage & { kind: 'plan' },
  throttles: Throttles,
): Promise<void> {
  const { machine, rules, emit, signal, runId, force, startedAt } = options;
  const message = delivery.body;
  const { ruleId } = message;
  const { queue, ledger, copy } = machine;
  try {
    const rule = rules.get(ruleId);
    if (rule === undefined) throw ruleIsGone(ruleId);
    const sendPlans = (plans: PlanMessage[]) => queue.sendPlans(plans);
    const deps = { client: copy.client, ledger, queue, sendPlans, emit, signal, now: Date.now };
    await planRule(deps, { message, rule, rules, force, runStartedAt: startedAt });
    await queue.done(delivery);
  } catch (error) {
    // An interrupted run tells of its open messages itself.
    if (signal.aborted) return;
    const failure = toFailure(error);
    const fate = settleRule(message, failure, options.policy, { now: Date.now(), waitingSince: throttles.since });
    emit({ type: 'rule-failed', ruleId: planName(message), failure, willRetry: fate.kind !== 'failed' });
    const park = fate.kind === 'again' ? undefined : fate.park;
    if (park !== undefined) {
      await ledger.park(park.registry, park.until, park.reason);
      throttles.note({ succeeded: [], parks: [park] });
    }
    if (fate.kind === 'failed') {
      await ledger.recordRuleFailure(runId, planName(message), failure);
      await queue.done(delivery);
    } else await queue.retry(delivery, { delay: fate.delay, body: fate.message });
  }
}

async function handleTask(
  options: DrainOptions,
  delivery: ReceivedMessage & { kind: 'task' },
  throttles: Throttles,
  leaveSlot: () => void,
): Promise<void> {
  const { machine, runId, emit, policy, signal, durable = false } = options;
  const { ledger, queue } = machine;
  const task = delivery.body;
  emit({ type: 'task-started', task });
  // Of its own for each task: one run can have two tasks for a tag that was pushed twice.
  const owner = `${runId}/${delivery.id}`;
  const reopen = options.gate?.shut();
  const end = await runTask({ copy: machine.copy, ledger, now: Date.now, owner }, task).finally(reopen);
  leaveSlot();
  if (signal.aborted && end.kind === 'ended') {
    const done = settleInterrupted(end);
    if (end.busy.length > 0 || done.length < end.outcomes.length) {
      // The task stays in the queue: the interrupted run tells of the rest.
      for (const outcome of done) await ledger.recordOutcome(outcome);
      if (done.length > 0) emit({ type: 'task-finished', task, outcomes: done });
      return;
    }
  }
  const settlement = settleTask(task, end, policy, { now: Date.now(), waitingSince: throttles.since });
  throttles.note(settlement);
  await carryOut({ queue, ledger, emit }, delivery, settlement, { durable });
}

/** What was received before a registry that it needs was parked is for later, or for whoever gives it up. */
async function putBackParked(queue: Queue, ready: ReceivedMessage[], parks: Park[]): Promise<void> {
  if (parks.length === 0) return;
  for (const message of ready.splice(0)) {
    const isHeld =
      message.kind === 'task' && longestPark([message.body.source, ...message.body.destinations], parks) !== undefined;
    if (isHeld) await queue.retry(message, { delay: { kind: 'after', ms: 0 } });
    else ready.push(message);
  }
}

/** Tags that would wait longer than the user wants: each is deferred, and redrive can try it later. */
async function deferParked(options: DrainOptions, tooLong: Park[], parked: string[]): Promise<boolean> {
  const { machine, runId, emit, durable = false } = options;
  const { queue, ledger } = machine;
  const names = new Set(tooLong.map((park) => park.registry));
  const skipRegistries = parked.filter((registry) => !names.has(registry));
  const [delivery] = await queue.receive({ runId, owner: runId, visibilityMs: FOREVER_MS, most: 1, skipRegistries });
  if (delivery?.kind !== 'task') {
    if (delivery !== undefined) await queue.retry(delivery, { delay: { kind: 'after', ms: 0 } });
    return false;
  }
  const givenUp = deferAll(delivery.body, tooLong);
  const settlement = { succeeded: [], failed: [], givenUp, next: [], parks: [] };
  await carryOut({ queue, ledger, emit }, delivery, settlement, { durable });
  return true;
}

function deferAll(task: Task, tooLong: Park[]) {
  const park = longestPark([task.source, ...task.destinations], tooLong) ?? tooLong[0];
  return park === undefined ? [] : deferTask(task, parkedFailure(park), Date.now());
}
