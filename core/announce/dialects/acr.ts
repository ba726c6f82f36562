import type { Ignored } from '../announcement.ts';
import type { Dialect } from '../dialect.ts';
import { collect, type Draft, ignore } from '../draft.ts';
import { type Fields, fieldsOf, parseObject, textOf, timeOf, unreadable } from '../payload.ts';

/**
 * Azure Container Registry's own webhook.
 * @see https://learn.microsoft.com/en-us/azure/container-registry/container-registry-webhook-reference
 */
export const acr: Dialect = {
  unreadableStatus: 400,
  parse(request, sender) {
    const body = parseObject(request);
    if (textOf(body.action) === undefined) throw unreadable('the body has no action');
    return collect(sender, [body], (event) => readAcrEvent(event, textOf(event.id)));
  },
};

/**
 * The part that Azure's webhook and Event Grid have in common: one event as distribution has it, without the envelope.
 */
export function readAcrEvent(event: Fields, deliveryId: string | undefined): Draft | Ignored {
  const { action, timestamp } = event;
  const { repository, tag, digest } = fieldsOf(event.target);
  const { host, useragent } = fieldsOf(event.request);
  const what = `${textOf(action)} of ${textOf(repository)}`;
  if (action === 'ping') return ignore('test');
  if (action === 'chart_push' || action === 'chart_delete') return ignore('not-an-image', what);
  if (action === 'quarantine') return ignore('not-a-push', what);
  if (action !== 'push' && action !== 'delete') return ignore('unknown-event', what);
  return {
    kind: action,
    registry: textOf(host),
    repository: textOf(repository),
    tag: textOf(tag),
    digest: textOf(digest),
    at: timeOf(timestamp),
    deliveryId,
    userAgent: textOf(useragent),
  };
}
