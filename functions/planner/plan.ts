import { type Failure, TranshipError, toFailure } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import { longestPark, parkedFailure } from '../../core/pipeline/parked.ts';
import { type PlanDeps, planRule } from '../../core/pipeline/plan.ts';
import { planName } from '../../core/pipeline/plan-name.ts';
import type { PlanMessage } from '../../core/pipeline/ports/queue.ts';
import { ruleIsGone, settleRule } from '../../core/pipeline/rule-failure.ts';
import type { TryPolicy } from '../../core/pipeline/try-policy.ts';
import type { SqsQueue } from '../aws/queue.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

export interface PlannerDeps extends Omit<PlanDeps, 'signal' | 'queue' | 'sendPlans'> {
  tasks: PlanDeps['queue'];
  plans: SqsQueue<PlanMessage>;
  rules: ReadonlyMap<string, Rule>;
  policy: TryPolicy;
  log: Log;
  count: CountUp;
}

/**
 * Plans one rule, or the rest of one, as far as the time reaches. What is left goes on as a new message behind its
 * cursor; a rule that cannot be expanded is tried again, waits for its registry, or is recorded as failed.
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
      { ...deps, queue: deps.tasks, sendPlans: (found) => plans.send(found), signal: options.signal },
      { message, rule, rules: deps.rules, force, runStartedAt, deadline: options.deadline },
    );
    if (next === undefined) return;
    await plans.send([{ ...message, after: next, attempt: 0 }]);
    log.info('the rule goes on in the next invocation', { after: next });
  } catch (error) {
    await carryOut(deps, message, toFailure(error));
  }
}

/** The planner reads tag lists on both sides: none of them may be parked. */
async function refuseParked({ ledger, now }: PlannerDeps, rule: Rule): Promise<void> {
  const park = longestPark([rule.from, ...rule.to], await ledger.parks(now()));
  if (park === undefined) return;
  const { message, ...failure } = parkedFailure(park);
  throw new TranshipError(message, failure);
}

/** Carries out what becomes of a rule that could not be planned. */
async function carryOut(deps: PlannerDeps, message: PlanMessage, failure: Failure): Promise<void> {
  const { ledger, plans, policy, log, emit, now } = deps;
  const { runId, runStartedAt = now() } = message;
  const fate = settleRule(message, failure, policy, { now: now(), waitingSince: () => runStartedAt });
  const park = fate.kind === 'again' ? undefined : fate.park;
  if (park !== undefined) {
    await ledger.park(park.registry, park.until, park.reason);
    emit({ type: 'parked', ...park });
  }
  if (fate.kind === 'failed') {
    await ledger.recordRuleFailure(runId, planName(message), failure);
    deps.count('RulesFailed');
    emit({ type: 'rule-failed', ruleId: planName(message), failure, willRetry: false });
    log.error('the rule has failed', { failure });
    return;
  }
  const delayMs = fate.delay.kind === 'after' ? fate.delay.ms : 0;
  await plans.send([fate.message], { delayMs });
  if (fate.kind === 'waits') log.info('the rule waits for a parked registry', { delayMs, failure });
  else {
    deps.count('Retried');
    log.warn('the rule is to be tried again', { attempt: fate.message.attempt, delayMs, failure });
  }
}
