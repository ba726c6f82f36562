import { setTimeout as sleep } from 'node:timers/promises';
import { Cron } from 'croner';
import type { Rule, Schedule } from '../../core/model/rule.ts';
import { runPolicy } from '../../core/pipeline/try-policy.ts';
import { drainRun } from '../drain.ts';
import { createRunId } from '../run-id.ts';
import type { Lane } from './work.ts';

/** A schedule and the ids of its rules. */
export interface Scheduled {
  schedule: Schedule;
  ruleIds: string[];
  /** What its runs say started them. */
  trigger: string;
}

/** Rules with the same schedule are one run. @param general for rules that have none of their own */
export function groupSchedules(
  rules: readonly Rule[],
  own: Readonly<Record<string, Schedule>>,
  general: Schedule | undefined,
): Scheduled[] {
  const groups = new Map<string, Scheduled>();
  for (const { id } of rules) {
    const schedule = own[id] ?? general;
    if (schedule === undefined) continue;
    const { cron, timeZone } = schedule;
    const trigger = `schedule ${cron}${timeZone === undefined ? '' : ` ${timeZone}`}`;
    const key = JSON.stringify([cron, timeZone, schedule.jitterMs]);
    const group = groups.get(key) ?? { schedule, ruleIds: [], trigger };
    groups.set(key, group);
    group.ruleIds.push(id);
  }
  return [...groups.values()];
}

export interface Schedules {
  /** Epoch ms by trigger. */
  nextStarts(): Array<[trigger: string, at: number]>;
  /** Begins no more runs, and waits for those that are under way. */
  stop(): Promise<void>;
}

/**
 * Has each schedule start its runs. A start that comes while the schedule's last run is still under way is left out: the next one
 * finds what it would have found.
 *
 * @param options.skipped tells of a start that was left out
 */
export function startSchedules(
  lane: Lane,
  scheduled: readonly Scheduled[],
  { skipped }: { skipped: (trigger: string) => void },
): Schedules {
  const underWay = new Set<Promise<void>>();
  const jobs = scheduled.map((one) => {
    const { cron, timeZone, jitterMs } = one.schedule;
    const options = {
      mode: '5-or-6-parts',
      protect: () => skipped(one.trigger),
      timezone: timeZone,
    } as const;
    const job = new Cron(cron, options, async () => {
      const run = (async () => {
        if (jitterMs > 0) await sleep(Math.random() * jitterMs, undefined, { signal: lane.stop }).catch(() => {});
        if (!lane.stop.aborted) await runScheduled(lane, one);
      })().catch(lane.failed);
      underWay.add(run);
      await run;
      underWay.delete(run);
    });
    return { job, trigger: one.trigger };
  });
  return {
    nextStarts: () =>
      jobs.flatMap(({ job, trigger }) => {
        const next = job.nextRun();
        return next === null ? [] : [[trigger, next.getTime()] as [string, number]];
      }),
    async stop() {
      for (const { job } of jobs) job.stop();
      await Promise.all(underWay);
    },
  };
}

/** A run of its own, ended as interrupted where the process stops meanwhile: the next one finds what is left. */
async function runScheduled(lane: Lane, { ruleIds, trigger }: Scheduled): Promise<void> {
  const { machine, limits, rules, stop } = lane;
  const { ledger, queue, runOwners } = machine;
  const startedAt = Date.now();
  const runId = createRunId(startedAt);
  await ledger.startRun({ id: runId, trigger, startedAt, rules: ruleIds.length });
  await queue.sendPlans(ruleIds.map((ruleId) => ({ version: 1, runId, ruleId, attempt: 0 })));
  await drainRun({
    machine,
    runId,
    startedAt,
    rules,
    force: false,
    proc: limits.proc,
    policy: runPolicy(limits),
    emit: lane.emitFor(trigger),
    signal: stop,
  });
  if (stop.aborted) runOwners.interrupt(runId, Date.now());
  else await ledger.endRun(runId, 'done', Date.now());
  const run = await ledger.readRun(runId);
  if (run !== undefined) lane.runEnded(run);
}
