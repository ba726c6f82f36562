import { type Failure, TranshipError, toFailure } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import { type PlanDeps, planRule } from '../../core/pipeline/plan.ts';
import type { PlanMessage } from '../../core/pipeline/ports/queue.ts';
import { parkRegistry } from '../aws/parking.ts';
import type { SqsQueue } from '../aws/queue.ts';
import { backoffAfter, type RetryPolicy } from '../aws/retry-policy.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

export interface PlannerDeps extends Omit<PlanDeps, 'signal' | 'queue'> {
  tasks: PlanDeps['queue'];
  plans: SqsQueue<PlanMessage>;
  rules: ReadonlyMap<string, Rule>;
  retry: RetryPolicy;
  log: Log;
  count: CountUp;
}

/** As of a task: a registry that lets nothing through for a day fails the rule. */
const LONGEST_WAIT_MS = 24 * 3_600_000;

/**
 * Plans one rule, or the rest of one, as far as the time reaches. What is left goes on as a new message behind its cursor;
 * a rule that cannot be expanded is tried again, waits for its registry, or is recorded as failed.
 *
 * @param options.deadline epoch ms: no page is begun after it
 * @param options.signal fires when the invocation's time is nearly over
 */
export async function planMessage(
  deps: PlannerDeps,
  message: PlanMessage,
  options: { deadline: number; signal: AbortSignal },
): Promise<void> {
  const { plans, log } = deps;
  try {
    const rule = deps.rules.get(message.ruleId);
    if (!rule) throw ruleIsGone(message.ruleId);
    const { runStartedAt = deps.now(), force = false } = message;
    await refuseParked(deps, rule);
    const { next } = await planRule(
      { ...deps, queue: deps.tasks, signal: options.signal },
      { message, rule, force, runStartedAt, deadline: options.deadline },
    );
    if (next === undefined) return;
    await plans.send([{ ...message, after: next, attempt: 0 }]);
    log.info('the rule goes on in the next invocation', { after: next });
  } catch (error) {
    await handleFailure(deps, message, toFailure(error));
  }
}

/** The planner reads tag lists on both sides: none of them may be parked. */
async function refuseParked({ ledger, now }: PlannerDeps, rule: Rule): Promise<void> {
  const registries = new Set([rule.from, ...rule.to].map(({ registry }) => registry));
  const parks = (await ledger.parks(now())).filter(({ registry }) => registries.has(registry));
  if (parks.length === 0) return;
  const { registry, until, reason } = parks.reduce((latest, park) => (park.until > latest.until ? park : latest));
  throw new TranshipError(reason, { class: 'throttled', code: 'throttled', registry, retryAt: until });
}

async function handleFailure(deps: PlannerDeps, message: PlanMessage, failure: Failure): Promise<void> {
  const { ledger, plans, retry, log, now } = deps;
  const { runId, ruleId, runStartedAt = now() } = message;
  if (failure.class === 'throttled') {
    const until = await parkRegistry(deps, failure);
    if (until - runStartedAt <= LONGEST_WAIT_MS) {
      const delayMs = Math.max(0, until - now()) + Math.random() * retry.backoffMs;
      await plans.send([message], { delayMs });
      log.info('the rule waits for a parked registry', { delayMs, failure });
      return;
    }
  }
  const attempt = message.attempt + 1;
  if (failure.class === 'transient' && attempt < retry.attempts) {
    const delayMs = backoffAfter(retry, message.attempt);
    await plans.send([{ ...message, attempt }], { delayMs });
    deps.count('Retried');
    log.warn('the rule is to be tried again', { attempt, delayMs, failure });
    return;
  }
  await ledger.recordRuleFailure(runId, ruleId, failure);
  deps.count('RulesFailed');
  deps.emit({ type: 'rule-failed', ruleId, failure, willRetry: false });
  log.error('the rule has failed', { failure });
}

function ruleIsGone(ruleId: string): TranshipError {
  return new TranshipError(`the rules file has no rule ${ruleId}`, {
    class: 'permanent',
    code: 'config-invalid',
    mend: 'it was there when the run began; the next run knows the new rules file',
  });
}
