import type { Announcement } from './announcement.ts';
import { formatAnnouncement } from './filter.ts';

/** Things remembered at once; beyond, the oldest are forgotten, which costs a doubled task. */
const MAX_REMEMBERED = 10_000;

/**
 * What an announcement is about, as one text: the tag where there is one, whatever digest it has, since a task makes the
 * destination equal to what the tag is when the task runs.
 */
export function announcementKey(announcement: Announcement): string {
  const { digest: _digest, ...byTag } = announcement;
  return `${announcement.kind} ${formatAnnouncement(announcement.tag === undefined ? announcement : byTag)}`;
}

export interface Coalescer {
  /** The announcements, each thing once, without those that a task still waiting to be run will see to. */
  fresh(announcements: readonly Announcement[], settleMs: number): Announcement[];
  /** Tells that their tasks are stored and wait for the window. @param since epoch ms of before they were sent */
  noteSent(announcements: readonly Announcement[], since: number): void;
}

/**
 * Makes one task of the many events that the push of one image causes. The first one's task is sent with a delay of the
 * window; what comes until then adds nothing, as long as its tag is written before the task runs: hence `settleMs`. What was
 * not stored is not remembered, so that a sender's second try counts.
 */
export function createCoalescer({ windowMs, now }: { windowMs: number; now: () => number }): Coalescer {
  /** Epoch ms by key, oldest first. */
  const sent = new Map<string, number>();
  return {
    fresh(announcements, settleMs) {
      const time = now();
      for (const [key, since] of sent) {
        if (since + windowMs > time) break;
        sent.delete(key);
      }
      const fresh = new Map<string, Announcement>();
      for (const announcement of announcements) {
        const key = announcementKey(announcement);
        const since = sent.get(key);
        const isCovered = since !== undefined && time + settleMs < since + windowMs;
        if (!isCovered) fresh.set(key, announcement);
      }
      return [...fresh.values()];
    },
    noteSent(announcements, since) {
      for (const announcement of announcements) {
        const key = announcementKey(announcement);
        sent.delete(key);
        sent.set(key, since);
        const oldest = sent.keys().next();
        if (sent.size > MAX_REMEMBERED && !oldest.done) sent.delete(oldest.value);
      }
    },
  };
}
