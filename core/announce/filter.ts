import { formatRepository, type Repository } from '../model/reference.ts';
import type { Announcement, Ignored } from './announcement.ts';
import { ignore } from './draft.ts';
import { isAllowed, type Sender } from './sender.ts';

/** What the product calls itself in its requests. */
const ownAgent = /^tranship(?:\/|$)/;

/**
 * Made by this product, by its `User-Agent`. A rule may copy it on (a mirror of a mirror); back to where it came from
 * it finds the same digest, and a loop ends there.
 */
export function isOwnPush({ userAgent }: Announcement): boolean {
  return ownAgent.test(userAgent ?? '');
}

/** Leaves out what must not lead to work: registries of others, and pushes of our own accounts. */
export function filterAnnouncements(
  sender: Sender,
  announcements: readonly Announcement[],
): { announcements: Announcement[]; ignored: Ignored[] } {
  const kept: Announcement[] = [];
  const ignored: Ignored[] = [];
  for (const announcement of announcements) {
    const what = formatAnnouncement(announcement);
    if (!isAllowed(sender, announcement.repository)) {
      ignored.push({ ...ignore('not-allowed', what), mend: mendAllow(sender, announcement.repository) });
    } else if (sender.ownActors.includes(announcement.actor ?? '')) {
      ignored.push({ ...ignore('own-push', what), why: 'its account is one of ownActors in the webhooks file' });
    } else kept.push(announcement);
  }
  return { announcements: kept, ignored };
}

/** A sender that calls its registry by another name than the rules is the usual cause. */
function mendAllow(sender: Sender, repository: Repository): string {
  const { registry } = repository;
  const hosts = sender.allow.map((place) => place.split('/', 1)[0] ?? '');
  const [host = ''] = hosts;
  const add = `add ${formatRepository(repository)}, or a namespace above it, to allow:`;
  if (sender.registry !== undefined || sender.repositories !== undefined || hosts.includes(registry)) return add;
  return `where ${registry} is another name of ${host}, write registry: ${host} at this sender in the webhooks file; else ${add}`;
}

/** `registry/repository[:tag][@digest]`. */
export function formatAnnouncement({ repository, tag, digest }: Announcement): string {
  return `${formatRepository(repository)}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * What an announcement is about, as one text: the tag where there is one, whatever digest it has, since a task makes
 * the destination equal to what the tag is when the task runs.
 */
export function announcementKey(announcement: Announcement): string {
  const { digest: _digest, ...byTag } = announcement;
  return `${announcement.kind} ${formatAnnouncement(announcement.tag === undefined ? announcement : byTag)}`;
}
