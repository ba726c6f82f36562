import type { CutOff } from '../copy/cut-off.ts';
import type { Failure } from '../model/errors.ts';
import { formatTarget, type Target } from '../model/reference.ts';
import { outcomeOf, platformsToRetry } from './outcome.ts';
import { longestPark, parkAfter, parkedFailure, splitParked } from './parked.ts';
import type { Park } from './ports/parks.ts';
import type { Task } from './ports/queue.ts';
import type { Outcome } from './ports/runs.ts';
import type { TaskEnd } from './task-end.ts';
import { tooLongFailure } from './too-long.ts';
import { type Delay, delayAfter, MOST_CUT_OFFS, mayWorkLater, type Random, type TryPolicy } from './try-policy.ts';

/**
 * What becomes of a task after it was tried, destination by destination. The host carries it out: it records, parks,
 * sends and sets aside, and then is done with the message that it received.
 */
export interface Settlement {
  /** Copied, or equal already. To be recorded. */
  succeeded: Outcome[];
  /** Failed, and trying again cannot help. To be recorded. */
  failed: Outcome[];
  /** Tried as often, or waited for as long, as the policy allows: `failed` or `deferred`. Second chances may follow. */
  givenUp: Outcome[];
  /** To be sent in place of the task. */
  next: NextTask[];
  /** Registries that are to be left alone. */
  parks: Park[];
}

/** A task that is to be worked on later, and why. */
export interface NextTask {
  /**
   * `again`: it failed for the moment, and that counts as a try. `handed-over`: its worker ran out of time. `too-long`:
   * it needs a long worker, one whose time is not bounded. `waits`: for a parked registry. `busy`: another worker is
   * writing there. `early`: the source is not yet what was announced.
   */
  why: 'again' | 'handed-over' | 'too-long' | 'waits' | 'busy' | 'early';
  task: Task;
  delay: Delay;
}

export interface SettleState {
  /** Epoch ms. */
  now: number;
  /** Since when a registry has been waited for with no tag done in between, epoch ms. */
  waitingSince: (registry: string) => number;
  /** The worker's time is over: what failed for the moment goes on at once in another one. */
  isTimeOver?: boolean;
  /** Destinations whose missing repository was created after they failed for it. */
  created?: readonly Target[];
  random?: Random;
}

/** What a worker that was told to stop does with a task: nothing that failed is settled; it stays in the queue. */
export function settleInterrupted(end: Extract<TaskEnd, { kind: 'ended' }>): Outcome[] {
  return end.outcomes.filter(({ failure }) => failure === undefined);
}

/** Decides what becomes of a task that was tried. */
export function settleTask(task: Task, end: TaskEnd, policy: TryPolicy, state: SettleState): Settlement {
  const { now, isTimeOver = false, created = [], random = Math.random } = state;
  const settlement: Settlement = { succeeded: [], failed: [], givenUp: [], next: [], parks: [] };
  if (end.kind === 'early') {
    const { seen = task.seen, again } = end;
    const delay = { kind: 'after', ms: Math.max(0, again - now) } as const;
    settlement.next.push({ why: 'early', task: { ...task, ...(seen && { seen }) }, delay });
    return settlement;
  }
  const again: FailedOutcome[] = [];
  const recreated: FailedOutcome[] = [];
  const throttled: FailedOutcome[] = [];
  for (const outcome of end.outcomes) {
    if (!isFailed(outcome)) settlement.succeeded.push(outcome);
    else if (outcome.failure.class === 'throttled') throttled.push(outcome);
    else if (created.includes(outcome.destination)) recreated.push(outcome);
    else if (mayWorkLater(outcome.failure, policy)) again.push(outcome);
    else settlement.failed.push({ ...outcome, platforms: platformsToRetry(task) });
  }
  settleThrottled(settlement, task, throttled, policy, state);
  const isWritten = ({ destination }: Outcome) => end.written?.includes(destination) ?? false;
  const delay = delayAfter(policy.pause, task.attempt, random);
  for (const [written, group] of Map.groupBy(again, isWritten)) {
    const rest = written ? { ...task, written } : task;
    if (isTimeOver) handOver(settlement, rest, group, policy, end.cutOffs);
    else tryAgain(settlement, rest, group, policy, { why: 'again', delay });
  }
  tryAgain(settlement, task, recreated, policy, { why: 'again', delay: atOnce });
  if (end.busy.length > 0) {
    const rest = { ...task, destinations: end.busy };
    settlement.next.push({ why: 'busy', task: rest, delay: { kind: 'after', ms: policy.busyMs } });
  }
  return settlement;
}

/**
 * What becomes of copies whose outcomes could not be recorded: they are looked at again, and count as copied then.
 * undefined where there are none, and where it was tried often enough: then it is for the queue to deliver the task
 * again.
 */
export function settleUnrecorded(
  task: Task,
  outcomes: readonly Outcome[],
  policy: TryPolicy,
  random: Random = Math.random,
): NextTask | undefined {
  const destinations = outcomes.flatMap(({ result, destination }) => (result === 'copied' ? destination : []));
  const attempt = task.attempt + 1;
  if (destinations.length === 0 || attempt >= policy.tries) return undefined;
  const delay = delayAfter(policy.pause, task.attempt, random);
  return { why: 'again', delay, task: { ...task, destinations, attempt, written: true } };
}

/** What becomes of the destinations of a task that a parked registry holds back, before it is tried. */
export function settleParked(
  task: Task,
  parks: readonly Park[],
  policy: TryPolicy,
  state: SettleState,
): { free: Task | undefined; settlement: Settlement } {
  const settlement: Settlement = { succeeded: [], failed: [], givenUp: [], next: [], parks: [] };
  const { free, held, park } = splitParked(task, parks);
  if (park !== undefined) wait(settlement, { ...task, destinations: held }, park, parkedFailure(park), policy, state);
  return { free: free.length === 0 ? undefined : { ...task, destinations: free }, settlement };
}

const atOnce: Delay = { kind: 'after', ms: 0 };

type FailedOutcome = Outcome & { failure: Failure };

function isFailed(outcome: Outcome): outcome is FailedOutcome {
  return outcome.failure !== undefined;
}

/** Counts a try. */
function tryAgain(
  settlement: Settlement,
  task: Task,
  outcomes: FailedOutcome[],
  { tries }: TryPolicy,
  { why, delay }: Pick<NextTask, 'why' | 'delay'>,
): void {
  const attempt = task.attempt + 1;
  if (attempt < tries) {
    sendOn(settlement, { ...task, attempt }, outcomes, { why, delay });
    return;
  }
  for (const outcome of outcomes) {
    // A refused login needs a person by now, so it gets no second chance.
    const isLetter = outcome.failure.class === 'transient' && task.deletion === undefined;
    const ends = isLetter ? settlement.givenUp : settlement.failed;
    ends.push({ ...outcome, platforms: platformsToRetry(task) });
  }
}

function sendOn(
  { next }: Settlement,
  task: Task,
  outcomes: FailedOutcome[],
  { why, delay }: Pick<NextTask, 'why' | 'delay'>,
): void {
  const [first] = outcomes;
  if (first === undefined) return;
  const destinations = outcomes.map(({ destination }) => destination);
  next.push({ why, delay, task: { ...task, destinations, failure: first.failure } });
}

/**
 * A worker's time is over, and what it did not finish goes on at once in another one. Where blobs arrived it did not try
 * in vain: an image that needs many workers gets them. A blob that does not arrive though its bytes move, and of which
 * nothing is kept, would not arrive in the next one either.
 */
function handOver(
  settlement: Settlement,
  task: Task,
  outcomes: FailedOutcome[],
  policy: TryPolicy,
  cutOffs: ReadonlyMap<Target, CutOff>,
): void {
  const handedOver = { why: 'handed-over', delay: atOnce } as const;
  const arrived = outcomes.filter(({ bytes, mounted }) => bytes + mounted > 0);
  const cutOff = outcomes.filter((one) => !arrived.includes(one) && cutOffs.has(one.destination));
  const stuck = outcomes.filter((one) => !arrived.includes(one) && !cutOff.includes(one));
  // What the destination lacked when the task was planned it may have by now.
  const tried = { ...task, lacking: undefined };
  sendOn(settlement, { ...tried, cutOffs: undefined }, arrived, handedOver);
  tryAgain(settlement, tried, stuck, policy, handedOver);
  const times = (task.cutOffs ?? 0) + 1;
  if (times < MOST_CUT_OFFS) sendOn(settlement, { ...tried, cutOffs: times }, cutOff, handedOver);
  else {
    const tooLong = cutOff.map((one) => ({ ...one, failure: tooLongFailure(one, cutOffs.get(one.destination)) }));
    sendOn(settlement, { ...tried, cutOffs: times }, tooLong, { why: 'too-long', delay: atOnce });
  }
}

/** One message for all that wait for the same registry. */
function settleThrottled(
  settlement: Settlement,
  task: Task,
  outcomes: FailedOutcome[],
  policy: TryPolicy,
  state: SettleState,
): void {
  for (const group of Map.groupBy(outcomes, ({ failure }) => failure.registry).values()) {
    const parks = group.flatMap(({ failure }) => parkAfter(failure, state.now) ?? []);
    const park = longestPark(parks, parks);
    const [first] = group;
    if (first === undefined) continue;
    const rest = { ...task, destinations: group.map(({ destination }) => destination) };
    if (park !== undefined) {
      settlement.parks.push(park);
      wait(settlement, rest, park, first.failure, policy, state);
      continue;
    }
    // Without a registry it is the budget of the rule, for which no other rule waits.
    const { retryAt = state.now, message } = first.failure;
    const budget = { registry: '', until: retryAt, reason: message };
    if (policy.waitsForBudget) wait(settlement, rest, budget, first.failure, policy, state);
    else settlement.givenUp.push(...deferTask(rest, first.failure, state.now));
  }
}

function wait(
  settlement: Settlement,
  task: Task,
  park: Park,
  failure: Failure,
  policy: TryPolicy,
  { now, waitingSince, random = Math.random }: SettleState,
): void {
  const waiting = { ...task, failure };
  if (isPatient(park, policy, { now, since: waitingSince(park.registry) })) {
    const ms = Math.max(0, park.until - now) + random() * policy.spreadMs;
    settlement.next.push({ why: 'waits', task: waiting, delay: { kind: 'after', ms } });
  } else if (task.deletion === undefined) settlement.givenUp.push(...deferTask(task, failure, now));
  else settlement.failed.push(...deferTask(task, failure, now));
}

/** Whether a registry is waited for: not longer than the policy allows, at a stretch and altogether. */
export function isPatient(
  park: Pick<Park, 'until'>,
  { patienceMs }: Pick<TryPolicy, 'patienceMs'>,
  { now, since }: { now: number; since: number },
): boolean {
  return park.until - now <= patienceMs && now - since <= patienceMs;
}

/** The outcomes of a task that is not tried for now. */
export function deferTask(task: Task, failure: Failure, now: number): Outcome[] {
  const platforms = platformsToRetry(task);
  return task.destinations.map((destination) =>
    outcomeOf(task, destination, { result: 'deferred', failure, platforms, at: now }),
  );
}

/**
 * The task of the outcomes that were given up, as it is set aside; undefined where there are none, and for a deletion:
 * whether a tag is to go is decided anew by each run.
 */
export function deadLetterOf(task: Task, outcomes: readonly Outcome[]): (Task & { failure: Failure }) | undefined {
  if (task.deletion !== undefined) return undefined;
  const [first] = outcomes.filter(isFailed);
  if (first === undefined) return undefined;
  const names = new Set(outcomes.map(({ destination }) => formatTarget(destination)));
  const destinations = task.destinations.filter((target) => names.has(formatTarget(target)));
  return { ...task, destinations, failure: first.failure };
}
