import { TranshipError } from '../model/errors.ts';
import { dockerHub, isDigest, isRegistryName, isRepositoryName, isTag, normaliseRegistry } from '../model/reference.ts';
import type { Announcement, Ignored, IgnoredReason } from './announcement.ts';
import type { ParseResult } from './dialect.ts';
import { withoutScheme } from './image-name.ts';
import { clean, MAX_EVENTS } from './payload.ts';
import type { Sender } from './sender.ts';

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

/** @param why what is wrong with it, where the reason alone does not say so */
export function ignore(reason: IgnoredReason, what?: string, why?: string): Ignored {
  return { reason, what: what === undefined ? undefined : clean(what), why };
}

/**
 * Reads each event of a request. One that is not valid does not spoil the others.
 * @throws TranshipError `limit-exceeded` where there are more than {@link MAX_EVENTS}
 */
export function collect<Item>(
  sender: Sender,
  items: readonly Item[],
  read: (item: Item) => Draft | Ignored,
): ParseResult {
  if (items.length === 0)
    return { kind: 'events', announcements: [], ignored: [ignore('malformed', 'no event inside')] };
  if (items.length > MAX_EVENTS) {
    throw new TranshipError(`there are ${items.length} events in one request, and at most ${MAX_EVENTS} are taken`, {
      class: 'permanent',
      code: 'limit-exceeded',
      operation: 'read push event',
      mend: 'Send them in several requests.',
    });
  }
  const announcements: Announcement[] = [];
  const ignored: Ignored[] = [];
  for (const item of items) {
    const draft = read(item);
    const result = 'reason' in draft ? draft : toAnnouncement(sender, draft);
    if ('reason' in result) ignored.push(result);
    else announcements.push(result);
  }
  return { kind: 'events', announcements, ignored };
}

/** Checks and normalises what a dialect has read. */
function toAnnouncement(sender: Sender, draft: Draft): Announcement | Ignored {
  const registry = normaliseRegistry(sender.registry ?? withoutScheme(draft.registry ?? '').replace(/\/$/, ''));
  const path = draft.repository ?? '';
  const repository = registry === dockerHub && !path.includes('/') ? `library/${path}` : path;
  const written = `${registry}/${path}${draft.tag ? `:${draft.tag}` : ''}${draft.digest ? `@${draft.digest}` : ''}`;
  if (!isRegistryName(registry)) return ignore('malformed', written, 'it has no valid name of a registry');
  if (!isRepositoryName(repository)) return ignore('malformed', written, 'it has no valid name of a repository');

  const { tag, digest = draft.digest === '' ? undefined : draft.digest } = splitTag(draft.tag ?? '');
  if (tag !== undefined && !isTag(tag)) return ignore('malformed', written, 'its tag is not valid');
  if (tag === undefined && digest === undefined) return ignore('no-tag', written);
  // Beside a tag the digest is only a hint, and one that is wrong is left out.
  const isGoodDigest = digest !== undefined && isDigest(digest);
  if (tag === undefined && !isGoodDigest) return ignore('malformed', written, 'its digest is not valid');

  const deliveryId = nameOf(draft.deliveryId);
  const actor = nameOf(draft.actor);
  const userAgent = nameOf(draft.userAgent);
  return {
    kind: draft.kind,
    repository: { registry, repository },
    tag,
    ...(isGoodDigest && { digest }),
    at: draft.at,
    dialect: sender.dialect,
    deliveryId,
    actor,
    userAgent,
  };
}

/**
 * Most senders put the digest into the field of the tag where a manifest was pushed by digest; some put it behind the
 * tag.
 */
function splitTag(text: string): { tag?: string; digest?: string } {
  if (isDigest(text)) return { digest: text };
  const at = text.indexOf('@');
  if (at === -1) return { tag: text === '' ? undefined : text };
  return { tag: at === 0 ? undefined : text.slice(0, at), digest: text.slice(at + 1) };
}

function nameOf(text: string | undefined): string | undefined {
  return text !== undefined && /^[^\p{Cc}\p{Cf}]{1,300}$/u.test(text) ? text : undefined;
}
