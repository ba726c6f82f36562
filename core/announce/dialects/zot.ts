import { readCloudEvent } from '../cloud-event.ts';
import type { Dialect } from '../dialect.ts';
import { collect, ignore } from '../draft.ts';
import { fieldsOf, textOf } from '../payload.ts';

const prefix = 'zotregistry.';
const kinds: Record<string, 'push' | 'delete'> = {
  'zotregistry.image.updated': 'push',
  'zotregistry.image.deleted': 'delete',
};

/**
 * zot: CloudEvents in binary mode, the whole manifest inside, and no word of its own host. Sent once, never again.
 * @see https://github.com/project-zot/zot pkg/extensions/events
 */
export const zot: Dialect = {
  unreadableStatus: 400,
  sendsOnce: true,
  // A manifest may have 4 MiB.
  maxBodyBytes: 5 * 1024 * 1024,
  parse(request, sender) {
    const { type, id, at, data } = readCloudEvent(request);
    return collect(sender, [data], ({ name, reference, digest, actor, request: client }) => {
      const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
      if (kind === undefined) return ignore(type.startsWith(prefix) ? 'not-a-push' : 'unknown-event', type);
      return {
        kind,
        registry: undefined,
        repository: textOf(name),
        tag: textOf(reference),
        digest: textOf(digest),
        at,
        deliveryId: id,
        actor: textOf(fieldsOf(actor).name),
        userAgent: textOf(fieldsOf(client).useragent),
      };
    });
  },
};
