import type { Task } from '../pipeline/ports/queue.ts';
import type { Announcement, Ignored, IgnoredReason } from './announcement.ts';
import { ignore } from './draft.ts';
import { announcementKey, formatAnnouncement } from './filter.ts';
import type { IntakeMemory, StoredWork } from './intake-memory.ts';
import { matchAnnouncement, type RuleIndex, waitOf } from './match.ts';

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
  const tasks: Task[] = [];
  const replan = new Set<string>();
  for (const result of fresh) {
    const match = matchAnnouncement(result.announcement, rules, matchOptions);
    if (match.kind === 'ignored') {
      result.fate = match.reason;
      result.mend = match.mend;
      continue;
    }
    result.fate = 'queued';
    tasks.push(...match.tasks);
    for (const ruleId of match.replan) {
      if (!memory.coversPlan(ruleId, { settleMs, now })) replan.add(ruleId);
    }
  }
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
    replan: { ruleIds: [...replan], delayMs: windowMs },
    taken: {
      announcements: fresh.filter(({ fate }) => fate === 'queued').map(({ announcement }) => announcement),
      at: now,
      windowMs,
    },
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
