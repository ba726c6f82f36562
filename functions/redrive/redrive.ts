import { type ErrorClass, type ErrorCode, type Failure, toTranshipError } from '../../core/model/errors.ts';
import { platformKey } from '../../core/model/platform.ts';
import type { Target } from '../../core/model/reference.ts';
import { parsePlannerMessage, parseTask } from '../../core/pipeline/messages.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import type { DeadLetterQueue, DeadMessage } from '../aws/dead-letters.ts';
import type { SqsQueue } from '../aws/queue.ts';
import { backoffAfter, type RetryPolicy, redriveDelay } from '../aws/retry-policy.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

export interface RedriveDeps {
  ledger: Ledger;
  tasks: SqsQueue<Task>;
  deadTasks: DeadLetterQueue;
  plans: SqsQueue<PlanMessage | EndCheck>;
  deadPlans: DeadLetterQueue;
  retry: RetryPolicy;
  log: Log;
  count: CountUp;
  now: () => number;
}

/** Which dead letters; all where nothing is said. */
export interface RedriveFilter {
  class?: ErrorClass;
  code?: ErrorCode;
  ruleId?: string;
}

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
  /** Still there: not asked for, or of another version. */
  left: number;
}

type Fate = keyof RedriveReport;

/** A task whose copier never came to say why: out of memory, or killed. */
const BROKEN_OFF: Failure = {
  class: 'transient',
  code: 'aborted',
  message: 'the function broke off in each of its tries, without an answer',
  mend: 'see its log; more memory may help',
};

/**
 * Goes through the dead letters once. What is in step by now is dropped, what may work is sent back with a growing delay,
 * and what was tried often enough, or cannot work, is recorded as failed. A letter is deleted only when that is done, so
 * that nothing is lost where this is interrupted; what is then done twice does no harm.
 *
 * @param stopAt epoch ms: no more letters are taken after it
 */
export async function redrive(deps: RedriveDeps, filter: RedriveFilter, stopAt: number): Promise<RedriveReport> {
  const report: RedriveReport = { redriven: 0, dropped: 0, failed: 0, unreadable: 0, left: 0 };
  const go = async (letters: DeadLetterQueue, decide: (letter: DeadMessage) => Promise<Fate>) => {
    const left: DeadMessage[] = [];
    while (deps.now() < stopAt) {
      const batch = await letters.receive();
      if (batch.length === 0) break;
      for (const letter of batch) {
        const fate = await readOr(deps, letter, decide);
        report[fate] += 1;
        if (fate === 'left') left.push(letter);
        else await letters.remove(letter);
      }
    }
    for (const letter of left) await letters.putBack(letter);
  };
  await go(deps.deadTasks, (letter) => decideTask(deps, filter, letter));
  await go(deps.deadPlans, (letter) => decidePlan(deps, filter, letter));
  deps.count('Redriven', report.redriven);
  deps.count('Dropped', report.dropped);
  deps.count('Unreadable', report.unreadable);
  deps.log.info('dead letters looked at', { ...report });
  return report;
}

async function readOr(
  { log }: RedriveDeps,
  letter: DeadMessage,
  decide: (letter: DeadMessage) => Promise<Fate>,
): Promise<Fate> {
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

async function decideTask(deps: RedriveDeps, filter: RedriveFilter, letter: DeadMessage): Promise<Fate> {
  const { message: task } = parseTask(letter.body);
  const failure = task.failure ?? BROKEN_OFF;
  if (!isWanted(filter, task.ruleId, failure)) return 'left';
  const { ledger, log, retry } = deps;
  const open: Target[] = [];
  for (const destination of task.destinations) {
    if (await isSatisfied(ledger, task, destination)) {
      await ledger.recordOutcome({ ...outcomeOf(deps, task, destination), result: 'unchanged' });
    } else {
      open.push(destination);
    }
  }
  const fields = { correlation_id: task.runId, ruleId: task.ruleId, source: task.source, destinations: open, failure };
  if (open.length === 0) {
    log.info('in step by now, dropped', fields);
    return 'dropped';
  }
  const redriven = task.redriven ?? 0;
  const isHopeless = failure.class === 'permanent' || failure.class === 'configuration';
  if (isHopeless || redriven >= retry.redrives) {
    const tries = `given up after ${redriven + 1} rounds of tries`;
    for (const destination of open) {
      await ledger.recordOutcome({ ...outcomeOf(deps, task, destination), result: 'failed', failure, note: tries });
    }
    deps.count('Failed', open.length);
    log.error('failed for good', fields);
    return 'failed';
  }
  const again: Task = { ...task, destinations: open, attempt: 0, failure, redriven: redriven + 1 };
  const delayMs = redriveDelay(retry, redriven);
  await deps.tasks.send([again], { delayMs });
  log.info('sent back to be tried again', { ...fields, redriven: again.redriven, delayMs });
  return 'redriven';
}

/** A rule that its planner never finished fails: the next run expands it anew. */
async function decidePlan(deps: RedriveDeps, filter: RedriveFilter, letter: DeadMessage): Promise<Fate> {
  const { message } = parsePlannerMessage(letter.body);
  const { runId } = message;
  if ('kind' in message) {
    await deps.plans.send([message], { delayMs: backoffAfter(deps.retry, 0) });
    return 'redriven';
  }
  if (!isWanted(filter, message.ruleId, BROKEN_OFF)) return 'left';
  await deps.ledger.recordRuleFailure(runId, message.ruleId, BROKEN_OFF);
  deps.count('RulesFailed');
  deps.log.error('the rule has failed', { correlation_id: runId, ruleId: message.ruleId, failure: BROKEN_OFF });
  return 'failed';
}

/** Made equal to the planned digest since: by a doubled task, or by a later run. */
async function isSatisfied(ledger: Ledger, task: Task, destination: Target): Promise<boolean> {
  if (task.force || task.hint === undefined) return false;
  const record = await ledger.read(destination);
  return (
    record !== undefined &&
    record.at > task.plannedAt &&
    record.sourceDigest === task.hint &&
    record.platforms === platformKey(task.platforms)
  );
}

function isWanted(filter: RedriveFilter, ruleId: string, failure: Failure): boolean {
  return (
    (filter.class ?? failure.class) === failure.class &&
    (filter.code ?? failure.code) === failure.code &&
    (filter.ruleId ?? ruleId) === ruleId
  );
}

function outcomeOf({ now }: RedriveDeps, task: Task, destination: Target): Omit<Outcome, 'result'> {
  const { runId, ruleId, source, hint } = task;
  return {
    runId,
    ruleId,
    source,
    destination,
    sourceDigest: hint,
    bytes: 0,
    mounted: 0,
    present: 0,
    at: now(),
  };
}
