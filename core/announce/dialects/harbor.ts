import { toCloudEvent } from '../cloud-event.ts';
import type { Dialect } from '../dialect.ts';
import { collect, ignore } from '../draft.ts';
import { splitImageName } from '../image-name.ts';
import { fieldsOf, joinPath, listOf, parseObject, textOf, timeOf, unreadable } from '../payload.ts';

/** Harbor 2, its CloudEvents, and Harbor 1 with Tencent. */
const kinds: Record<string, 'push' | 'delete'> = {
  PUSH_ARTIFACT: 'push',
  DELETE_ARTIFACT: 'delete',
  'harbor.artifact.pushed': 'push',
  'harbor.artifact.deleted': 'delete',
  pushImage: 'push',
  deleteImage: 'delete',
};
/**
 * Pulls, scans, quotas, replications and charts, as Harbor's sources (controller/event/topic.go) and Tencent name them.
 */
const notPushes =
  /^(?:PULL_|QUOTA_|SCANNING_|TAG_RETENTION|REPLICATION|harbor\.|pullImage|(?:upload|download|delete)Chart)/;
/** A proxy-cache project announces what it pulls (harbor#19982). */
const proxyCache = 'harbor#proxy-cache-service';

/**
 * Harbor, both payload formats. Of an artifact with several tags it names only the first (harbor#13238).
 * @see https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
 */
export const harbor: Dialect = {
  unreadableStatus: 400,
  parse(request, sender) {
    const body = parseObject(request);
    const type = textOf(body.type);
    if (type === undefined) throw unreadable('the body has no type of event');
    const event = body.specversion === undefined ? undefined : toCloudEvent(body);
    const data = event?.data ?? fieldsOf(body.event_data);
    const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
    if (kind === undefined) {
      return collect(sender, [type], () => ignore(notPushes.test(type) ? 'not-a-push' : 'unknown-event', type));
    }

    const operator = textOf(body.operator);
    const { repo_full_name: fullName, namespace, name } = fieldsOf(data.repository);
    const path = textOf(fullName) ?? joinPath(namespace, name);
    return collect(sender, listOf(data.resources), (resource) => {
      const { resource_url: url, tag, digest } = fieldsOf(resource);
      const image = splitImageName(textOf(url) ?? '');
      if (operator === proxyCache) return ignore('cache-fill', textOf(url));
      return {
        kind,
        registry: image.registry,
        repository: path ?? image.repository,
        tag: textOf(tag) ?? image.tag,
        digest: textOf(digest) ?? image.digest,
        at: event?.at ?? timeOf(body.occur_at),
        deliveryId: event?.id,
        actor: operator,
      };
    });
  },
};
