import { isManifestType } from '../../model/media-types.ts';
import type { Ignored } from '../announcement.ts';
import type { Dialect } from '../dialect.ts';
import { collect, type Draft, ignore } from '../draft.ts';
import { fieldsOf, parseObject, textOf, timeOf, unreadable } from '../payload.ts';

/**
 * CNCF distribution 2 and 3. It repeats an event that is not answered with 2xx for ever, and all others wait behind it;
 * and it sends the event before it writes the tag (distribution#2625).
 * @see https://distribution.github.io/distribution/about/notifications/
 */
export const distribution: Dialect = {
  unreadableStatus: 200,
  settleMs: 2000,
  parse(request, sender) {
    const { events } = parseObject(request);
    if (!Array.isArray(events)) throw unreadable('the body has no list of events');
    return collect(sender, events, readEvent);
  },
};

function readEvent(event: unknown): Draft | Ignored {
  const { id, timestamp, action, target, request, actor } = fieldsOf(event);
  const { mediaType, repository, tag, digest, url } = fieldsOf(target);
  const { host, useragent } = fieldsOf(request);
  const what = `${textOf(action)} of ${textOf(repository)}`;
  if (action === 'pull' || action === 'mount') return ignore('not-a-push', what);
  if (action !== 'push' && action !== 'delete') return ignore('unknown-event', what);
  const isManifest = isManifestType(textOf(mediaType) ?? '') || textOf(url)?.includes('/manifests/') === true;
  if (action === 'push' && !isManifest) return ignore('not-an-image', what);
  return {
    kind: action,
    registry: textOf(host),
    repository: textOf(repository),
    tag: textOf(tag),
    digest: textOf(digest),
    at: timeOf(timestamp),
    deliveryId: textOf(id),
    actor: textOf(fieldsOf(actor).name),
    userAgent: textOf(useragent),
  };
}
