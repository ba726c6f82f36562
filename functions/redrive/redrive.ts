import { type Failure, toTranshipError } from '../../core/model/errors.ts';
import type { Target } from '../../core/model/reference.ts';
import { parsePlannerMessage, parseTask } from '../../core/pipeline/messages.ts';
import { outcomeOf, platformsToRetry } from '../../core/pipeline/outcome.ts';
import { planName } from '../../core/pipeline/plan-name.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { firstLookMs } from '../../core/pipeline/run-end.ts';
import {
  BROKEN_OFF,
  type ChancePolicy,
  collectFailed,
  type FailureFilter,
  isSatisfied,
  passesFilter,
  redriveTask,
  secondChance,
} from '../../core/pipeline/second-chance.ts';
import { needsLongWorker } from '../../core/pipeline/too-long.ts';
import type { TryPolicy } from '../../core/pipeline/try-policy.ts';
import type { DeadLetterQueue, DeadMessage } from '../aws/dead-letters.ts';
import type { SqsQueue } from '../aws/queue.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

export interface RedriveDeps {
  ledger: Ledger;
  tasks: SqsQueue<Task>;
  /** Tasks for workers whose time is not bounded. */
  longTasks: SqsQueue<Task>;
  deadTasks: DeadLetterQueue;
  plans: SqsQueue<PlanMessage | EndCheck>;
  deadPlans: DeadLetterQueue;
  policy: TryPolicy;
  chances: ChancePolicy;
  log: Log;
  count: CountUp;
  now: () => number;
}

/** Who wants what to be tried again. */
export type RedriveRequest =
  /** Second chances that are due, by the policy. */
  | { kind: 'due' }
  /**
   * A person: all that failed and passes the filter, however often it was tried. `id` names the run that it becomes.
   */
  | { kind: 'asked'; filter: FailureFilter; id: string };

/** How many letters ended in which way. */
export interface RedriveReport {
  /** Sent back to be tried again. */
  redriven: number;
  /** In step by now. */
  dropped: number;
  /** Recorded as failed. */
  failed: number;
  /** Logged and dropped: no message of this product's. */
  unreadable: number;
  /** Still there: not asked for, not due yet, or of another version. */
  left: number;
}

type LetterEnd = keyof RedriveReport;
type Decide = (letter: DeadMessage) => Promise<LetterEnd>;

/** Epoch ms after which no more is taken. What is under way then takes half a minute, and some seconds. */
export interface StopTimes {
  /** Within the ten minutes for which a letter is hidden: one that stays must not come a second time. */
  letters: number;
  /** For the look through what failed for good. */
  failed: number;
}

/** Of one request; a second one takes the next. */
const MAX_FAILED_TAGS = 20_000;
/** A queue has 120,000 messages in flight at most (ReceiveMessage, "OverLimit"). */
const MOST_LETTERS_HELD = 100_000;
/** Put back between two looks at the clock. */
const PUT_BACK_AT_ONCE = 1_000;
/** Longest that putting back goes on after the end of the time for letters. */
const PUT_BACK_MS = 30_000;

/**
 * Goes through the dead letters once. What is in step by now is dropped, what may work is sent back, and what has had
 * its chances, or cannot work, is recorded as failed. A letter is deleted only when that is done, so that nothing is
 * lost where this is interrupted; what is then done twice does no harm. Where a person asks, what failed for good in
 * earlier runs becomes a new run.
 */
export async function redrive(deps: RedriveDeps, request: RedriveRequest, stopAt: StopTimes): Promise<RedriveReport> {
  const report: RedriveReport = { redriven: 0, dropped: 0, failed: 0, unreadable: 0, left: 0 };
  /** @returns the letter's receipt where it stays */
  const take = async (letters: DeadLetterQueue, letter: DeadMessage, decide: Decide): Promise<string[]> => {
    const end = await readOr(deps, letter, decide);
    report[end] += 1;
    if (end === 'left') return [letter.receiptHandle];
    await letters.remove(letter);
    return [];
  };
  const go = async (letters: DeadLetterQueue, decide: Decide) => {
    const left: string[] = [];
    while (deps.now() < stopAt.letters && left.length < MOST_LETTERS_HELD) {
      const batch = await letters.receive();
      if (batch.length === 0) break;
      for (const taken of await Promise.allSettled(batch.map((letter) => take(letters, letter, decide)))) {
        if (taken.status === 'rejected') throw taken.reason;
        left.push(...taken.value);
      }
    }
    for (let at = 0; at < left.length && deps.now() < stopAt.letters + PUT_BACK_MS; at += PUT_BACK_AT_ONCE) {
      await letters.putBack(left.slice(at, at + PUT_BACK_AT_ONCE));
    }
  };
  // A run cannot end without its plans, which are few.
  await go(deps.deadPlans, (letter) => decidePlan(deps, request, letter));
  await go(deps.deadTasks, (letter) => decideTask(deps, request, letter));
  if (request.kind === 'asked') report.redriven += await redriveFailed(deps, request, stopAt.failed);
  if (deps.now() >= stopAt.letters)
    deps.log.warn('the time is over: what is left is for the next look, or the next request');
  deps.count('Redriven', report.redriven);
  deps.count('Dropped', report.dropped);
  deps.count('Unreadable', report.unreadable);
  deps.log.info('dead letters looked at', { ...report });
  return report;
}

async function readOr({ log }: RedriveDeps, letter: DeadMessage, decide: Decide): Promise<LetterEnd> {
  try {
    return await decide(letter);
  } catch (thrown) {
    const error = toTranshipError(thrown);
    if (error.class !== 'permanent' || error.site.operation !== undefined) throw error;
    const isOtherVersion = error.code === 'unsupported';
    log.error(isOtherVersion ? 'dead letter of another version' : 'dead letter cannot be read, dropped', {
      messageId: letter.id,
      bytes: Buffer.byteLength(letter.body),
      reason: error.message,
    });
    return isOtherVersion ? 'left' : 'unreadable';
  }
}

async function decideTask(deps: RedriveDeps, request: RedriveRequest, letter: DeadMessage): Promise<LetterEnd> {
  const { ledger, log, count, now } = deps;
  const { message: task } = parseTask(letter.body);
  const { failure = BROKEN_OFF, redriven = 0 } = task;
  if (request.kind === 'asked' && !passesFilter(request.filter, task.ruleId, failure)) return 'left';
  if (task.deletion !== undefined) return failDeletion(deps, task, failure);
  const chance = secondChance({ failure, redriven, at: letter.sentAt }, deps.chances, now());
  if (request.kind === 'due' && chance.kind === 'later') return 'left';
  const open: Target[] = [];
  for (const destination of task.destinations) {
    if (isSatisfied(task, await ledger.read(destination))) {
      const fields = { result: 'unchanged', sourceDigest: task.hint, at: now() } as const;
      await ledger.recordOutcome(outcomeOf(task, destination, fields));
    } else open.push(destination);
  }
  const fields = { correlation_id: task.runId, ruleId: task.ruleId, source: task.source, destinations: open, failure };
  if (open.length === 0) {
    log.info('in step by now, dropped', fields);
    return 'dropped';
  }
  if (request.kind === 'asked' || chance.kind === 'due') {
    await (needsLongWorker(task) ? deps.longTasks : deps.tasks).send([{ ...redriveTask(task, open), failure }]);
    log.info('sent back to be tried again', { ...fields, redriven: redriven + 1 });
    return 'redriven';
  }
  const platforms = platformsToRetry(task);
  const note = `given up after ${redriven + 1} rounds of tries`;
  for (const destination of open) {
    await ledger.recordOutcome(outcomeOf(task, destination, { result: 'failed', failure, platforms, note, at: now() }));
  }
  count('Failed', open.length);
  log.error('failed for good', fields);
  return 'failed';
}

/** Whether a tag is to go is decided anew by each run. */
async function failDeletion(
  { ledger, log, count, now }: RedriveDeps,
  task: Task,
  failure: Failure,
): Promise<LetterEnd> {
  for (const destination of task.destinations) {
    await ledger.recordOutcome(outcomeOf(task, destination, { result: 'failed', failure, at: now() }));
  }
  count('Failed', task.destinations.length);
  log.error('could not be deleted', { correlation_id: task.runId, destinations: task.destinations, failure });
  return 'failed';
}

/** A rule that its planner never finished fails: the next run expands it anew. */
async function decidePlan(deps: RedriveDeps, request: RedriveRequest, letter: DeadMessage): Promise<LetterEnd> {
  const { message } = parsePlannerMessage(letter.body);
  const { runId } = message;
  if ('kind' in message) {
    await deps.plans.send([message], { delayMs: firstLookMs(deps.policy) });
    return 'redriven';
  }
  if (request.kind === 'asked' && !passesFilter(request.filter, message.ruleId, BROKEN_OFF)) return 'left';
  await deps.ledger.recordRuleFailure(runId, planName(message), BROKEN_OFF);
  deps.count('RulesFailed');
  deps.log.error('the rule has failed', { correlation_id: runId, ruleId: message.ruleId, failure: BROKEN_OFF });
  return 'failed';
}

/**
 * What failed for good in earlier runs, as a new run. After a crash half-way there is none, and whoever asks again gets
 * another one; what is then copied twice is found equal.
 * @returns how many destination tags
 */
async function redriveFailed(
  deps: RedriveDeps,
  { filter, id }: Extract<RedriveRequest, { kind: 'asked' }>,
  stopAt: number,
): Promise<number> {
  const { ledger, tasks, plans, policy, now } = deps;
  const runId = `redrive-${id}`;
  const failed = await collectFailed(ledger, filter, {
    runId,
    now: now(),
    limit: MAX_FAILED_TAGS,
    isOver: () => now() >= stopAt,
  });
  if (failed.length === 0) return 0;
  const byRule = Map.groupBy(failed, ({ ruleId }) => ruleId);
  for (const [ruleId, { length }] of byRule) {
    await ledger.recordPage({ runId, ruleId, after: '', planned: length, unchanged: 0 });
  }
  await tasks.send(failed);
  // The run comes last, so that one which is there is complete and has a look for its end.
  await plans.send([{ version: 1, kind: 'end-check', runId, attempt: 0 }], { delayMs: firstLookMs(policy) });
  await ledger.startRun({ id: runId, trigger: 'redrive', startedAt: now(), rules: byRule.size });
  return failed.length;
}
