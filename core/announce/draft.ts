import { dockerHub, isDigest, isRegistryName, isRepositoryName, isTag, normaliseRegistry } from '../model/reference.ts';
import type { Announcement, Ignored, IgnoredReason } from './announcement.ts';
import type { ParseResult } from './dialect.ts';
import { clean, MAX_EVENTS } from './payload.ts';
import type { WebhookSource } from './source.ts';

/** What a dialect has read, unchecked. */
export interface Draft {
  kind: Announcement['kind'];
  /** The registry's host by the sender. */
  registry: string | undefined;
  repository: string | undefined;
  tag?: string;
  digest?: string;
  at?: number;
  deliveryId?: string;
  actor?: string;
  userAgent?: string;
}

export function ignore(reason: IgnoredReason, what?: string): Ignored {
  return what === undefined ? { reason } : { reason, what: clean(what) };
}

/** Reads each event of a request; one that is no good does not spoil the others. */
export function collect<Item>(
  source: WebhookSource,
  items: readonly Item[],
  read: (item: Item) => Draft | Ignored,
): ParseResult {
  if (items.length === 0)
    return { kind: 'events', announcements: [], ignored: [ignore('malformed', 'no event inside')] };
  const announcements: Announcement[] = [];
  const ignored: Ignored[] = [];
  for (const item of items.slice(0, MAX_EVENTS)) {
    const draft = read(item);
    const result = 'reason' in draft ? draft : toAnnouncement(source, draft);
    if ('reason' in result) ignored.push(result);
    else announcements.push(result);
  }
  if (items.length > MAX_EVENTS) ignored.push(ignore('too-many', `${items.length - MAX_EVENTS} events`));
  return { kind: 'events', announcements, ignored };
}

/** Checks and normalises what a dialect has read. */
function toAnnouncement(source: WebhookSource, draft: Draft): Announcement | Ignored {
  const registry = normaliseRegistry(source.registry ?? draft.registry ?? '');
  const path = draft.repository ?? '';
  const repository = registry === dockerHub && !path.includes('/') ? `library/${path}` : path;
  const written = `${registry}/${path}${draft.tag ? `:${draft.tag}` : ''}${draft.digest ? `@${draft.digest}` : ''}`;
  if (!isRegistryName(registry) || !isRepositoryName(repository)) return ignore('malformed', written);

  // Most senders put the digest into the field of the tag where a manifest was pushed by digest.
  const isTagDigest = draft.tag !== undefined && isDigest(draft.tag);
  const tag = isTagDigest || draft.tag === '' ? undefined : draft.tag;
  const digest = isTagDigest ? draft.tag : draft.digest === '' ? undefined : draft.digest;
  if (tag !== undefined && !isTag(tag)) return ignore('malformed', written);
  if (tag === undefined && digest === undefined) return ignore('no-tag', written);
  // Beside a tag the digest is only a hint, and one that is wrong is left out.
  const isGoodDigest = digest !== undefined && isDigest(digest);
  if (tag === undefined && !isGoodDigest) return ignore('malformed', written);

  const deliveryId = nameOf(draft.deliveryId);
  const actor = nameOf(draft.actor);
  const userAgent = nameOf(draft.userAgent);
  return {
    kind: draft.kind,
    repository: { registry, repository },
    tag,
    ...(isGoodDigest && { digest }),
    at: draft.at,
    sender: source.dialect,
    deliveryId,
    actor,
    userAgent,
  };
}

function nameOf(text: string | undefined): string | undefined {
  return text !== undefined && /^[^\p{Cc}\p{Cf}]{1,300}$/u.test(text) ? text : undefined;
}
