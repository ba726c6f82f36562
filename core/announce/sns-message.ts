import { partitionOf } from '../registry/aws-partitions.ts';
import { type Fields, textOf, unreadable } from './payload.ts';

/** What Amazon SNS posts to a subscribed URL. */
export interface SnsMessage {
  type: 'Notification' | 'SubscriptionConfirmation' | 'UnsubscribeConfirmation';
  /** The topic's ARN. */
  topic: string;
  id: string;
  /** The notification itself, or words around a confirmation. */
  text: string;
  timestamp: string;
  subject: string | undefined;
  token: string | undefined;
  subscribeUrl: string | undefined;
  signatureVersion: string | undefined;
  signature: string | undefined;
  certificateUrl: string | undefined;
}

const types = ['Notification', 'SubscriptionConfirmation', 'UnsubscribeConfirmation'] as const;

/**
 * The message, or undefined where the body is none of SNS's.
 * @see https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
 */
export function readSnsMessage(body: Fields): SnsMessage | undefined {
  const type = types.find((known) => known === body.Type);
  const [topic, id, text, timestamp] = [body.TopicArn, body.MessageId, body.Message, body.Timestamp].map(textOf);
  if (type === undefined || topic === undefined || id === undefined || text === undefined || timestamp === undefined) {
    return undefined;
  }
  return {
    type,
    topic,
    id,
    text,
    timestamp,
    subject: typeof body.Subject === 'string' ? body.Subject : undefined,
    token: textOf(body.Token),
    subscribeUrl: textOf(body.SubscribeURL),
    signatureVersion: textOf(body.SignatureVersion),
    signature: textOf(body.Signature),
    certificateUrl: textOf(body.SigningCertURL),
  };
}

/** Hosts of SNS itself, by region. */
const snsHost = /^sns\.([a-z0-9-]{4,30})\.([a-z.-]+)$/;

/**
 * A URL of SNS over https, with neither login nor port; undefined for any other, which must not be asked for a key or
 * shown to a person to be opened.
 */
export function snsUrl(text: string | undefined): URL | undefined {
  const url = text === undefined ? null : URL.parse(text);
  const isPlain = url?.protocol === 'https:' && url.port === '' && url.username === '' && url.password === '';
  const [, region, domain] = snsHost.exec(url?.hostname ?? '') ?? [];
  const isSns = region !== undefined && domain === partitionOf(region).domain;
  return url !== null && isPlain && isSns ? url : undefined;
}

/**
 * The URL that confirms a subscription.
 * @throws TranshipError `protocol` where it does not lead to SNS
 */
export function confirmationUrl(message: SnsMessage): string {
  const url = snsUrl(message.subscribeUrl);
  if (url === undefined) throw unreadable('the confirmation does not lead to SNS');
  return url.href;
}
