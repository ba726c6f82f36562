import { formatRepository } from '../model/reference.ts';
import type { Announcement, Ignored, IgnoredReason } from './announcement.ts';
import { ignore } from './draft.ts';
import { isAllowed, type WebhookSource } from './source.ts';

/** cosign's `sha256-<hex>.sig`, `.att`, `.sbom`, and the referrers tag of the distribution specification. */
const referrerTag = /^sha(?:256|512)-[0-9a-f]{64,128}(?:\.[A-Za-z0-9_.-]*)?$/;
/** What the product calls itself in its requests. */
const ownAgent = /^tranship(?:\/|$)/;

/**
 * Made by this product, by its `User-Agent`. A rule may copy it on (a mirror of a mirror); back to where it came from it finds the
 * same digest, and a loop ends there.
 */
export function isOwnPush({ userAgent }: Announcement): boolean {
  return ownAgent.test(userAgent ?? '');
}

/** Leaves out what must not lead to work: other people's registries, pushes of our own accounts, and signatures and their like. */
export function filterAnnouncements(
  source: WebhookSource,
  announcements: readonly Announcement[],
): { announcements: Announcement[]; ignored: Ignored[] } {
  const kept: Announcement[] = [];
  const ignored: Ignored[] = [];
  for (const announcement of announcements) {
    const reason = reasonAgainst(source, announcement);
    if (reason === undefined) kept.push(announcement);
    else ignored.push(ignore(reason, formatAnnouncement(announcement)));
  }
  return { announcements: kept, ignored };
}

function reasonAgainst(source: WebhookSource, announcement: Announcement): IgnoredReason | undefined {
  const { repository, tag, actor } = announcement;
  if (!isAllowed(source, repository)) return 'not-allowed';
  if (source.ownActors.includes(actor ?? '')) return 'own-push';
  return tag !== undefined && referrerTag.test(tag) ? 'referrer' : undefined;
}

/** `registry/repository[:tag][@digest]`. */
export function formatAnnouncement({ repository, tag, digest }: Announcement): string {
  return `${formatRepository(repository)}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
