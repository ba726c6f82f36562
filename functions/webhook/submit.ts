import type { Announcement } from '../../core/announce/announcement.ts';
import type { Coalescer } from '../../core/announce/coalesce.ts';
import { formatAnnouncement } from '../../core/announce/filter.ts';
import { matchAnnouncements, waitOf } from '../../core/announce/match.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { firstLookMs } from '../../core/pipeline/run-end.ts';
import type { TryPolicy } from '../../core/pipeline/try-policy.ts';
import type { SqsQueue } from '../aws/queue.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

export interface SubmitDeps {
  rules: Rule[];
  ledger: Ledger;
  tasks: SqsQueue<Task>;
  plans: SqsQueue<PlanMessage | EndCheck>;
  coalescer: Coalescer;
  policy: TryPolicy;
  log: Log;
  count: CountUp;
  now: () => number;
}

/** The events that one push causes come within this time; a task waits for it, where they do not tell the digest. */
export const COALESCE_MS = 3_000;

/**
 * Makes a run of what was announced: a task for each rule that takes the tag, a plan message for a rule that one tag cannot
 * decide. What is announced twice is copied once: tasks say "equal to the source".
 *
 * @param settleMs how long the tags may still be unwritten
 * @param request what announced it, and names the run: `push-<source>-<id>`
 * @returns the run, where there is anything to do
 * @throws TranshipError where it could not be queued: the sender is to try again
 */
export async function submitAnnouncements(
  deps: SubmitDeps,
  announcements: Announcement[],
  settleMs: number,
  request: { source: string; id: string },
): Promise<{ runId: string; tasks: number } | undefined> {
  const { ledger, count, log, now } = deps;
  const startedAt = now();
  const fresh = deps.coalescer.fresh(announcements, settleMs);
  const runId = `push-${request.source}-${request.id}`;
  const windowMs = Math.max(settleMs, COALESCE_MS);
  const options = { runId, now: startedAt, settleUntil: startedAt + windowMs };
  const { tasks, replan, byDigest, unmatched, deletions } = matchAnnouncements(fresh, deps.rules, options);
  count('Announced', fresh.length);
  count('Unmatched', unmatched.length + deletions.length);
  const tell = (list: Announcement[], why: string) => {
    for (const one of list) log.info(why, { announced: formatAnnouncement(one) });
  };
  tell(unmatched, 'no rule takes what was announced');
  tell(byDigest, 'pushed by digest: its tag is announced by itself');
  tell(deletions, 'deletions are not mirrored');
  const pages = Map.groupBy(tasks, (task) => task.ruleId);
  if (pages.size + replan.length === 0) return undefined;

  await ledger.startRun({
    id: runId,
    trigger: `push-${request.source}`,
    startedAt,
    rules: new Set([...pages.keys(), ...replan]).size,
  });
  const waves = Map.groupBy(tasks, (task) => waitOf(task, windowMs));
  for (const [delayMs, wave] of waves) await deps.tasks.send(wave, { delayMs });
  for (const [ruleId, list] of pages) {
    if (replan.includes(ruleId)) continue;
    const planned = list.reduce((sum, task) => sum + task.destinations.length, 0);
    await ledger.recordPage({ runId, ruleId, after: '', planned, unchanged: 0 });
  }
  const plans = replan.map(
    (ruleId): PlanMessage => ({ version: 1, runId, ruleId, attempt: 0, runStartedAt: startedAt, pushed: true }),
  );
  await deps.plans.send(plans, { delayMs: windowMs });
  const endCheck: EndCheck = { version: 1, kind: 'end-check', runId, attempt: 0 };
  await deps.plans.send([endCheck], { delayMs: windowMs + firstLookMs(deps.policy) });
  deps.coalescer.noteSent(fresh, startedAt);
  count('TasksSent', tasks.length);
  log.info('announcement taken', { runId, tasks: tasks.length, replan });
  return { runId, tasks: tasks.length };
}
