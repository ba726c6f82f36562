import type { Ignored } from '../announcement.ts';
import { dataOf } from '../cloud-event.ts';
import type { Dialect, ParseResult } from '../dialect.ts';
import { collect, type Draft, ignore } from '../draft.ts';
import { type Fields, fieldsOf, parseBody, textOf, unreadable } from '../payload.ts';
import type { Sender } from '../sender.ts';
import { readAcrEvent } from './acr.ts';

const origin = 'eventgrid.azure.net';
const validation = 'Microsoft.EventGrid.SubscriptionValidationEvent';

/**
 * Azure Container Registry through Event Grid, in Event Grid's schema (a list) and as CloudEvents (one, or a batch),
 * with the handshake of each.
 * @see https://learn.microsoft.com/en-us/azure/event-grid/event-schema-container-registry
 */
export const acrEventGrid: Dialect = {
  unreadableStatus: 400,
  parse(request, sender) {
    const body = parseBody(request);
    const events = Array.isArray(body) ? body : [body];
    const first = fieldsOf(events[0]);
    if (textOf(first.eventType) === undefined && textOf(first.type) === undefined) {
      throw unreadable('the body is not an event of Event Grid');
    }
    return first.eventType === validation ? answerValidation(first, sender) : collect(sender, events, readEvent);
  },
  /** https://github.com/cloudevents/spec HTTP 1.1 Web Hooks, 4 "Abuse Protection". */
  options(request) {
    if (request.headers['webhook-request-origin'] !== origin) throw unreadable('the handshake is not of Event Grid');
    return {
      kind: 'answer',
      body: '',
      headers: { 'webhook-allowed-origin': origin, 'webhook-allowed-rate': '*', allow: 'POST, OPTIONS' },
    };
  },
};

/**
 * Any Azure account could subscribe this URL, if it knew it, to its own registry: only configured ones are answered. The
 * event has the name of the registry alone. Its host has it in front, maybe with a hash behind it (a domain name label),
 * in one of Azure's clouds.
 * @see https://learn.microsoft.com/en-us/azure/container-registry/container-registry-get-started-azure-cli
 */
function answerValidation(event: Fields, sender: Sender): ParseResult {
  const code = textOf(fieldsOf(event.data).validationCode);
  const registry = /\/registries\/([a-z0-9]{5,50})$/i.exec(textOf(event.topic) ?? '')?.[1]?.toLowerCase();
  // It is a UUID; what is echoed must not be whatever somebody wants to have echoed.
  if (code === undefined || !/^[A-Za-z0-9-]{1,100}$/.test(code) || registry === undefined)
    throw unreadable('the validation event lacks code or topic');
  const host = new RegExp(`^${registry}(?:-[a-z0-9]+)?\\.azurecr\\.(?:io|cn|us)$`);
  const isOurs = sender.registry !== undefined || sender.allow.some((entry) => host.test(entry.split('/', 1)[0] ?? ''));
  if (!isOurs) {
    const mend = `where it is yours, write registry: and its host at this sender in the webhooks file`;
    return collect(sender, [event], () => ({ ...ignore('not-allowed', `${registry}.azurecr.io`), mend }));
  }
  return {
    kind: 'answer',
    body: JSON.stringify({ validationResponse: code }),
    headers: { 'content-type': 'application/json' },
  };
}

function readEvent(event: unknown): Draft | Ignored {
  const fields = fieldsOf(event);
  const type = textOf(fields.eventType) ?? textOf(fields.type);
  if (type === undefined) return ignore('malformed');
  if (!type.startsWith('Microsoft.ContainerRegistry.')) return ignore('unknown-event', type);
  return readAcrEvent(dataOf(fields), textOf(fields.id));
}
