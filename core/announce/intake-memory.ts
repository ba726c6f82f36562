import { LRUCache } from 'lru-cache';
import type { Digest } from '../model/reference.ts';
import { planName } from '../pipeline/plan-name.ts';
import type { Announcement } from './announcement.ts';
import { announcementKey } from './filter.ts';
import type { RulePlan } from './match.ts';

/** Things remembered at once. Beyond, the oldest are forgotten, which costs a doubled task. */
const MAX_REMEMBERED = 10_000;

/** Work of announcements that waits for its time. */
export interface StoredWork {
  /**
   * The announcements that have work, when they were taken (epoch ms), and how long work waits that does not know its
   * digest.
   */
  taken: { announcements: Announcement[]; at: number; windowMs: number };
  /** Rules to plan anew, each once, and how long that waits: the list of tags must have what was announced. */
  replan: { plans: RulePlan[]; delayMs: number };
}

/** What was stored lately: makes one task of the many events that the push of one image causes. */
export interface IntakeMemory {
  /**
   * Whether a task that was stored before will see to the announcement. So it is within the window of that task where
   * both have the same digest: the task waits until the tag is what both say. Or where the task has none: it is sent
   * with a delay, and will see the tag written, if it is not to run before `settleMs` are over.
   */
  covers(announcement: Announcement, when: { settleMs: number; now: number }): boolean;
  /** Whether a planning that was stored before will see what is announced now. */
  coversPlan(plan: RulePlan, when: { settleMs: number; now: number }): boolean;
  /** To be called when all of it is stored, and not before: what failed to be stored comes again. */
  note(work: StoredWork): void;
  /** Forgets everything, as when stored work may run earlier than was said: the rules or the clock changed. */
  clear(): void;
}

interface Stored {
  /** Epoch ms: when it was stored, and when its work may begin. */
  at: number;
  beginsAt: number;
  digest?: Digest;
}

export function createIntakeMemory(): IntakeMemory {
  const tags = new LRUCache<string, Stored>({ max: MAX_REMEMBERED });
  const plans = new LRUCache<string, Stored>({ max: MAX_REMEMBERED });
  return {
    covers(announcement, { settleMs, now }) {
      const stored = tags.get(announcementKey(announcement));
      if (stored === undefined || isOver(stored, now)) return false;
      return stored.digest === undefined ? now + settleMs < stored.beginsAt : stored.digest === announcement.digest;
    },
    coversPlan(plan, { settleMs, now }) {
      const candidates = [plans.get(planKey(plan)), plans.get(planKey({ ...plan, deletions: undefined }))];
      return candidates.some(
        (stored) => stored !== undefined && !isOver(stored, now) && now + settleMs < stored.beginsAt,
      );
    },
    note({ taken: { announcements, at, windowMs }, replan }) {
      const beginsAt = at + windowMs;
      for (const announcement of announcements) {
        tags.set(announcementKey(announcement), { at, beginsAt, digest: announcement.digest });
      }
      for (const plan of replan.plans) plans.set(planKey(plan), { at, beginsAt: at + replan.delayMs });
    },
    clear() {
      tags.clear();
      plans.clear();
    },
  };
}

/** What is planned, as one text. */
export function planKey({ deletions = false, ...plan }: RulePlan): string {
  return `${planName(plan)}${deletions ? ' deletions' : ''}`;
}

/**
 * Also of what was stored in the future: the clock was set back since, and nothing may wait until it is there again.
 */
function isOver({ at, beginsAt }: Stored, now: number): boolean {
  return now >= beginsAt || now < at;
}
