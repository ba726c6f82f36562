import { setTimeout as sleep } from 'node:timers/promises';
import { Cron } from 'croner';
import type { Rule, Schedule } from '../../core/model/rule.ts';
import { runOnce } from './run-once.ts';
import { scheduleTrigger } from './triggers.ts';
import type { Workers } from './work.ts';

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
    const trigger = triggerOf(schedule);
    const group = groups.get(trigger) ?? { schedule, ruleIds: [], trigger };
    groups.set(trigger, group);
    group.ruleIds.push(id);
  }
  return [...groups.values()];
}

/** With all that makes it another schedule: runs, metrics and notices are told apart by it. */
function triggerOf({ cron, timeZone, jitterMs }: Schedule): string {
  return scheduleTrigger([cron, timeZone, jitterMs === 0 ? undefined : `jitter ${jitterMs / 1000}s`]);
}

export interface Schedules {
  /** Takes these in place of those it has. Runs under way go on. */
  set(scheduled: readonly Scheduled[]): void;
  /** Computes the next starts anew: the clock was set. */
  reset(): void;
  /** Starts a run of these rules now. @returns false where the last one of this trigger is under way */
  runNow(run: Pick<Scheduled, 'trigger' | 'ruleIds'>): boolean;
  /** Epoch ms by trigger. */
  nextStarts(): Array<[trigger: string, at: number]>;
  /** Begins no more runs, and waits for those that are under way. */
  stop(): Promise<void>;
}

/**
 * Runs rules on their schedules. A start that comes while the schedule's last run is still under way is left out: the
 * next one finds what it would have found.
 *
 * @param options.skipped called for a start that was left out
 */
export function createSchedules(workers: Workers, { skipped }: { skipped: (trigger: string) => void }): Schedules {
  const underWay = new Map<string, Promise<void>>();
  let current: readonly Scheduled[] = [];
  let jobs: Array<{ job: Cron; trigger: string }> = [];

  /** Which rules a start runs: they may have been read again while it waited. */
  function rulesNow({ trigger, ruleIds }: Pick<Scheduled, 'trigger' | 'ruleIds'>): string[] {
    const same = current.find((one) => one.trigger === trigger);
    return same?.ruleIds ?? ruleIds.filter((id) => workers.rules.has(id));
  }

  function begin({ trigger, ruleIds }: Pick<Scheduled, 'trigger' | 'ruleIds'>, jitterMs: number): boolean {
    if (underWay.has(trigger)) {
      skipped(trigger);
      return false;
    }
    const run = async (): Promise<void> => {
      if (jitterMs > 0) await sleep(Math.random() * jitterMs, undefined, { signal: workers.stop }).catch(() => {});
      const ids = rulesNow({ trigger, ruleIds });
      if (!workers.stop.aborted && ids.length > 0) await runRules(workers, { trigger, ruleIds: ids });
    };
    underWay.set(
      trigger,
      run()
        .catch(workers.failed)
        .finally(() => underWay.delete(trigger)),
    );
    return true;
  }

  function stopJobs(): void {
    for (const { job } of jobs) job.stop();
    jobs = [];
  }

  function startJobs(): void {
    stopJobs();
    jobs = current.map((one) => {
      const { cron, timeZone, jitterMs } = one.schedule;
      const options = { mode: '5-or-6-parts', timezone: timeZone } as const;
      return { trigger: one.trigger, job: new Cron(cron, options, () => void begin(one, jitterMs)) };
    });
  }

  return {
    set(scheduled) {
      current = scheduled;
      startJobs();
    },
    reset: startJobs,
    runNow: (run) => begin(run, 0),
    nextStarts: () =>
      jobs.flatMap(({ job, trigger }) => {
        const next = job.nextRun();
        return next === null ? [] : [[trigger, next.getTime()] as [string, number]];
      }),
    async stop() {
      current = [];
      stopJobs();
      await Promise.all(underWay.values());
    },
  };
}

/** A run of these rules, as they are at its start, to its end. */
function runRules(workers: Workers, { ruleIds, trigger }: Pick<Scheduled, 'trigger' | 'ruleIds'>): Promise<void> {
  const { ledger, queue } = workers.machine;
  return runOnce(workers, trigger, async (runId, startedAt) => {
    await ledger.startRun({ id: runId, trigger, startedAt, rules: ruleIds.length });
    await queue.sendPlans(ruleIds.map((ruleId) => ({ version: 1, runId, ruleId, attempt: 0 })));
  });
}
