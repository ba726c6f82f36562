import type { Digest } from '../model/reference.ts';
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
  /** The announcements, each thing once, without those that a task that was sent before will see to. */
  fresh(announcements: readonly Announcement[], settleMs: number): Announcement[];
  /** Tells that their tasks are stored. @param since epoch ms of before they were sent */
  noteSent(announcements: readonly Announcement[], since: number): void;
}

/**
 * Makes one task of the many events that the push of one image causes.
 *
 * Within the window an announcement adds nothing where the last one of its tag had the same digest: that one's task waits until
 * the tag is what both say. Or where the last one had none, and its task, sent with a delay of the window, will see the tag
 * written: hence `settleMs`. What was not stored is not remembered, so that a sender's second try counts.
 */
export function createCoalescer({ windowMs, now }: { windowMs: number; now: () => number }): Coalescer {
  /** By key, oldest first. */
  const sent = new Map<string, { since: number; digest: Digest | undefined }>();

  function isCovered({ digest }: Announcement, key: string, settleMs: number): boolean {
    const last = sent.get(key);
    if (last === undefined) return false;
    return last.digest === undefined ? now() + settleMs < last.since + windowMs : last.digest === digest;
  }

  return {
    fresh(announcements, settleMs) {
      const time = now();
      for (const [key, { since }] of sent) {
        if (since + windowMs > time) break;
        sent.delete(key);
      }
      const fresh = new Map<string, Announcement>();
      for (const announcement of announcements) {
        const key = announcementKey(announcement);
        if (!isCovered(announcement, key, settleMs)) fresh.set(key, announcement);
      }
      return [...fresh.values()];
    },
    noteSent(announcements, since) {
      for (const announcement of announcements) {
        const key = announcementKey(announcement);
        sent.delete(key);
        sent.set(key, { since, digest: announcement.digest });
        const oldest = sent.keys().next();
        if (sent.size > MAX_REMEMBERED && !oldest.done) sent.delete(oldest.value);
      }
    },
  };
}
