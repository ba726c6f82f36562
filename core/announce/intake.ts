import { planName } from '../pipeline/plan-name.ts';
import type { Task } from '../pipeline/ports/queue.ts';
import type { Announcement, Ignored, IgnoredReason } from './announcement.ts';
import { ignore } from './draft.ts';
import { announcementKey, formatAnnouncement } from './filter.ts';
import { type IntakeMemory, planKey, type StoredWork } from './intake-memory.ts';
import { matchAnnouncement, type RuleIndex, type RulePlan, waitOf } from './match.ts';

/** What became of an announcement: its work is stored, or another event's work does for it, or why there is none. */
export type Fate = 'queued' | 'merged' | IgnoredReason;

export interface IntakeResult {
  announcement: Announcement;
  fate: Fate;
  mend?: string;
}

/** What announcements lead to. Nothing of it is stored or remembered yet: the host does both. */
export interface Intake extends StoredWork {
  /** One for each announcement, in their order. */
  results: IntakeResult[];
  /** Tasks by how long they wait, in ms. */
  waves: Array<{ delayMs: number; tasks: Task[] }>;
}

export interface IntakeOptions {
  rules: RuleIndex;
  memory: Pick<IntakeMemory, 'covers' | 'coversPlan'>;
  /** How long the events of one push are gathered before its task runs, where they do not tell the digest. */
  gatherMs: number;
  /** How long the tags may still be unwritten. */
  settleMs: number;
  /** The run that the work belongs to. */
  runId: string;
  /** Epoch ms. */
  now: number;
}

/**
 * Decides what announcements lead to: tasks, rules to plan anew, and the fate of each announcement. Both hosts go by
 * it. It changes nothing: the host stores the work, has the memory note it, and only then answers the sender.
 *
 * @throws TranshipError `config-invalid` where a pattern of a rule cannot be compiled
 */
export function decideIntake(announcements: readonly Announcement[], options: IntakeOptions): Intake {
  const { rules, memory, gatherMs, settleMs, runId, now } = options;
  const windowMs = gatherMs + settleMs;
  const matchOptions = { runId, now, settleUntil: now + windowMs };
  const results: IntakeResult[] = announcements.map((announcement) => ({ announcement, fate: 'merged' }));
  // Of several that are about the same thing the last one counts: it is the newest word of its digest.
  const last = new Map(results.map((result) => [announcementKey(result.announcement), result]));
  const fresh = [...last.values()].filter(({ announcement }) => !memory.covers(announcement, { settleMs, now }));
  const found: Task[] = [];
  const replan = new Map<string, RulePlan>();
  for (const result of fresh) {
    const match = matchAnnouncement(result.announcement, rules, matchOptions);
    if (match.kind === 'ignored') {
      result.fate = match.reason;
      result.mend = match.mend;
      continue;
    }
    result.fate = 'queued';
    found.push(...match.tasks);
    for (const plan of match.replan) {
      if (!memory.coversPlan(plan, { settleMs, now })) replan.set(planKey(plan), plan);
    }
  }
  const { tasks, plans } = planOnce(found, [...replan.values()]);
  // What is said twice and leads to nothing has one fate, not "merged" with something that was not stored.
  for (const result of results) {
    const decided = last.get(announcementKey(result.announcement));
    if (decided === undefined || isStored(decided.fate)) continue;
    result.fate = decided.fate;
    result.mend = decided.mend;
  }
  const waves = [...Map.groupBy(tasks, (task) => waitOf(task, windowMs))];
  return {
    results,
    waves: waves.map(([delayMs, wave]) => ({ delayMs, tasks: wave })),
    replan: { plans, delayMs: windowMs },
    taken: {
      announcements: fresh.filter(({ fate }) => fate === 'queued').map(({ announcement }) => announcement),
      at: now,
      windowMs,
    },
  };
}

/**
 * One plan a rule, since a run counts what it plans by rule: the whole rule where its deletions are asked for beside
 * other work of it.
 */
function planOnce(tasks: Task[], plans: RulePlan[]): { tasks: Task[]; plans: RulePlan[] } {
  const whole = new Set(plans.filter(({ deletions }) => !deletions).map(planName));
  const deleting = new Set(plans.filter(({ deletions }) => deletions).map(planName));
  for (const { ruleId } of tasks) if (deleting.has(ruleId)) whole.add(ruleId);
  const once = new Map(plans.map((plan) => [planName(plan), plan]));
  return {
    tasks: tasks.filter(({ ruleId }) => !whole.has(ruleId)),
    plans: [...once].map(([name, { deletions: _, ...plan }]) =>
      whole.has(name) ? plan : { ...plan, deletions: true },
    ),
  };
}

/** Whether there is work for the announcement on the disk, or in the queue, once the intake is stored. */
export function isStored(fate: Fate): fate is 'queued' | 'merged' {
  return fate === 'queued' || fate === 'merged';
}

/** The results that lead to nothing, as what a dialect ignores is told. */
export function ignoredOf(results: readonly IntakeResult[]): Ignored[] {
  return results.flatMap(({ announcement, fate, mend }) =>
    isStored(fate) ? [] : [{ ...ignore(fate, formatAnnouncement(announcement)), mend }],
  );
}
