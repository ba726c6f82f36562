import type { Announcement } from '../../core/announce/announcement.ts';
import { decideIntake, type Intake, type IntakeResult } from '../../core/announce/intake.ts';
import type { IntakeMemory } from '../../core/announce/intake-memory.ts';
import type { RuleIndex } from '../../core/announce/match.ts';
import { planName } from '../../core/pipeline/plan-name.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { firstLookMs } from '../../core/pipeline/run-end.ts';
import type { TryPolicy } from '../../core/pipeline/try-policy.ts';
import type { SqsQueue } from '../aws/queue.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

export interface SubmitDeps {
  rules: RuleIndex;
  ledger: Pick<Ledger, 'startRun' | 'recordPage'>;
  tasks: SqsQueue<Task>;
  plans: SqsQueue<PlanMessage | EndCheck>;
  memory: IntakeMemory;
  policy: TryPolicy;
  log: Log;
  count: CountUp;
  now: () => number;
}

/** How long the events of one push are gathered before its task runs, where they do not tell the digest. */
const GATHER_MS = 3_000;

/**
 * Stores what announcements lead to as a run of its own, named `push-<sender>-<id>`. When this returns, all of it is in
 * the queues.
 *
 * @param request.settleMs how long the tags may still be unwritten
 * @returns what became of each announcement
 * @throws TranshipError where it could not be queued: the sender is to try again
 */
export async function submitAnnouncements(
  deps: SubmitDeps,
  announcements: readonly Announcement[],
  request: { sender: string; id: string; settleMs: number },
): Promise<IntakeResult[]> {
  const { rules, memory, count, log, now } = deps;
  const runId = `push-${request.sender}-${request.id}`;
  const { settleMs } = request;
  const intake = decideIntake(announcements, { rules, memory, gatherMs: GATHER_MS, settleMs, runId, now: now() });
  const tasks = intake.waves.reduce((sum, wave) => sum + wave.tasks.length, 0);
  if (tasks + intake.replan.plans.length > 0) {
    await storeRun(deps, intake, { runId, trigger: `push-${request.sender}` });
    memory.note(intake);
    log.info('announcement taken', { runId, tasks, replan: intake.replan.plans });
  }
  count('Announced', announcements.length);
  count('TasksSent', tasks);
  count('Unmatched', intake.results.filter(({ fate }) => fate === 'unmatched' || fate === 'deletion').length);
  return intake.results;
}

/**
 * The look for the run's end is sent first, and the run itself is stored last: a run that is there has all its messages
 * and ends, whatever dies half-way. What was sent for a run that never came to be does no harm, and the sender tries
 * again. The pages come before their tasks: an outcome of a task that nothing planned would end the run too early.
 */
async function storeRun(
  deps: SubmitDeps,
  { waves, replan, taken }: Intake,
  { runId, trigger }: { runId: string; trigger: string },
): Promise<void> {
  const { ledger, policy } = deps;
  const endCheck: EndCheck = { version: 1, kind: 'end-check', runId, attempt: 0 };
  await deps.plans.send([endCheck], { delayMs: taken.windowMs + firstLookMs(policy) });
  const tasksByRule = Map.groupBy(
    waves.flatMap(({ tasks }) => tasks),
    ({ ruleId }) => ruleId,
  );
  for (const [ruleId, tasks] of tasksByRule) {
    const planned = tasks.reduce((sum, { destinations }) => sum + destinations.length, 0);
    await ledger.recordPage({ runId, ruleId, after: '', planned, unchanged: 0 });
  }
  for (const { delayMs, tasks } of waves) await deps.tasks.send(tasks, { delayMs });
  const plans = replan.plans.map(
    (plan): PlanMessage => ({ version: 1, runId, ...plan, attempt: 0, runStartedAt: taken.at, pushed: true }),
  );
  await deps.plans.send(plans, { delayMs: replan.delayMs });
  const rules = new Set([...tasksByRule.keys(), ...replan.plans.map(planName)]).size;
  await ledger.startRun({ id: runId, trigger, startedAt: taken.at, rules });
}
