import { formatEcrHost } from '../../registry/ecr-host.ts';
import type { Ignored } from '../announcement.ts';
import { isCloudEventBody, toCloudEvent } from '../cloud-event.ts';
import { readImageEvent } from '../cloud-image.ts';
import type { Dialect, ParseResult } from '../dialect.ts';
import { collect, type Draft, ignore } from '../draft.ts';
import { type Fields, fieldsOf, parseJson, parseObject, textOf, timeOf, unreadable } from '../payload.ts';
import type { Sender } from '../sender.ts';
import { confirmationUrl, readSnsMessage } from '../sns-message.ts';

/**
 * Amazon ECR: its EventBridge events, from an API destination or wrapped by SNS, or made CloudEvents by an input
 * transformer.
 * @see https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
 */
export const ecr: Dialect = {
  unreadableStatus: 400,
  parse(request, sender) {
    const body = parseObject(request);
    if (isCloudEventBody(body)) return collect(sender, [toCloudEvent(body)], readImageEvent);
    const message = readSnsMessage(body);
    if (message === undefined) return parseEcrEvent(body, sender);
    if (message.type === 'Notification') return parseEcrEvent(parseJson(message.text), sender);
    if (message.type === 'UnsubscribeConfirmation') {
      return collect(sender, [body], () => ignore('test', `end of the subscription to ${message.topic}`));
    }
    return { kind: 'confirm', url: confirmationUrl(message) };
  },
};

/**
 * Reads an event as EventBridge gives it to its targets.
 * @throws TranshipError `protocol` where it is not one
 */
export function parseEcrEvent(event: unknown, sender: Sender): ParseResult {
  const fields = fieldsOf(event);
  if (textOf(fields['detail-type']) === undefined) throw unreadable('the body is not an event of EventBridge');
  return collect(sender, [fields], readEvent);
}

function readEvent(event: Fields): Draft | Ignored {
  const detail = fieldsOf(event.detail);
  const [type, action] = [textOf(event['detail-type']), textOf(detail['action-type'])];
  const what = `${type} of ${textOf(detail['repository-name'])}`;
  if (event.source !== 'aws.ecr') return ignore('unknown-event', `${type} from ${textOf(event.source)}`);
  if (type === 'ECR Pull Through Cache Action') return ignore('cache-fill', what);
  const kind = kindOf(type, action);
  if (kind === undefined || detail.result !== 'SUCCESS') return ignore('not-a-push', what);
  return {
    kind,
    registry: hostOf(textOf(event.account), textOf(event.region)),
    repository: textOf(detail['repository-name']),
    tag: textOf(detail['image-tag']),
    digest: textOf(detail['image-digest']),
    at: timeOf(event.time),
    deliveryId: textOf(event.id),
  };
}

function kindOf(type: string | undefined, action: string | undefined): 'push' | 'delete' | undefined {
  if (type === 'ECR Replication Action') return action === 'REPLICATE' ? 'push' : undefined;
  if (type !== 'ECR Image Action') return undefined;
  return action === 'PUSH' ? 'push' : action === 'DELETE' ? 'delete' : undefined;
}

function hostOf(account = '', region = ''): string | undefined {
  if (!/^\d{12}$/.test(account) || !/^[a-z]{2}[a-z0-9-]{3,30}$/.test(region)) return undefined;
  return formatEcrHost({ account, region });
}
