import type { Dialect } from '../dialect.ts';
import { collect, ignore } from '../draft.ts';
import { splitImageName } from '../image-name.ts';
import { fieldsOf, parseObject, textOf } from '../payload.ts';

/** What only Quay's other events have (notifications/notificationevent.py). */
const otherEvents = ['build_id', 'vulnerability', 'vulnerabilities', 'message'];

/**
 * Quay: no type of event, no digest, no authentication. After three answers other than 2xx it switches the notification
 * off.
 * @see https://docs.quay.io/guides/notifications.html "Repository Push"
 */
export const quay: Dialect = {
  registry: 'quay.io',
  unreadableStatus: 200,
  parse(request, sender) {
    const body = parseObject(request);
    const image = splitImageName(textOf(body.docker_url) ?? '');
    const { updated_tags: updated } = body;
    // Older versions send a map of tags to image ids.
    const tags: unknown[] = Array.isArray(updated) ? updated : Object.keys(fieldsOf(updated));
    if (otherEvents.some((name) => name in body)) {
      return collect(sender, [body], () => ignore('not-a-push', textOf(body.docker_url)));
    }
    // A body template of the user's, or a quota's warning.
    if (tags.length === 0) return collect(sender, [body], () => ignore('unknown-event', textOf(body.docker_url)));
    return collect(sender, tags, (tag) => ({
      kind: 'push',
      registry: image.registry,
      repository: textOf(body.repository) ?? image.repository,
      tag: textOf(tag),
    }));
  },
};
