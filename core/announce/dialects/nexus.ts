import type { Dialect } from '../dialect.ts';
import { collect, ignore } from '../draft.ts';
import { fieldsOf, joinPath, parseObject, textOf, timeOf, unreadable } from '../payload.ts';
import { placeInside } from '../repositories.ts';

const kinds: Record<string, 'push' | 'delete'> = { CREATED: 'push', UPDATED: 'push', DELETED: 'delete' };

/**
 * Sonatype Nexus Repository 3, component events. No host and no digest; `repositories` says which registry each
 * repository is.
 * @see https://help.sonatype.com/en/example-headers-and-payloads.html
 */
export const nexus: Dialect = {
  hmac: { algorithm: 'sha1', headers: ['x-nexus-webhook-signature'] },
  unreadableStatus: 400,
  parse(request, sender) {
    const id = request.headers['x-nexus-webhook-id'];
    if (id === undefined) throw unreadable('the request has no header X-Nexus-Webhook-Id');
    const { action, repositoryName, component, timestamp, initiator } = parseObject(request);
    const { format, name, version } = fieldsOf(component);
    return collect(sender, [component], () => {
      const [key, type] = [textOf(repositoryName) ?? '', textOf(action) ?? ''];
      const what = `${type} of ${key}/${textOf(name)}`;
      if (id !== 'rm:repository:component') return ignore('unknown-event', id);
      const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
      if (kind === undefined) return ignore('not-a-push', what);
      if (format !== 'docker') return ignore('not-an-image', what);
      const place = placeInside(sender, key, { registry: undefined, path: '' });
      if (place === undefined) return ignore('not-allowed', what);
      return {
        kind,
        registry: place.registry,
        repository: place.path === '' ? textOf(name) : joinPath(place.path, name),
        tag: textOf(version),
        at: timeOf(timestamp),
        deliveryId: request.headers['x-nexus-webhook-delivery'],
        // With the address it came from: `ci-bot/10.0.3.17`.
        actor: textOf(initiator)?.replace(/\/[^/]*$/, ''),
      };
    });
  },
};
