import type { WebhookRequest } from './dialect.ts';
import { type Fields, fieldsOf, parseBody, parseJson, parseObject, textOf, timeOf, unreadable } from './payload.ts';

/** A CloudEvent's attributes and its data. */
export interface CloudEvent {
  type: string;
  id: string | undefined;
  at: number | undefined;
  source: string | undefined;
  subject: string | undefined;
  data: Fields;
  /** All attributes of the structured form; empty for the binary one. */
  attributes: Fields;
}

/**
 * Reads a CloudEvent in binary or structured mode.
 * @throws TranshipError `protocol`
 * @see https://github.com/cloudevents/spec HTTP Protocol Binding v1.0.2, 3.1 and 3.2
 */
export function readCloudEvent(request: WebhookRequest): CloudEvent {
  const type = request.headers['ce-type'];
  if (type === undefined) return toCloudEvent(parseObject(request));
  const { 'ce-id': id, 'ce-time': time, 'ce-source': source, 'ce-subject': subject } = request.headers;
  return { type, id, at: timeOf(time), source, subject, data: fieldsOf(parseBody(request)), attributes: {} };
}

/** True for the structured form, whatever the request says of its type. */
export function isCloudEventBody(fields: Fields): boolean {
  return textOf(fields.specversion) !== undefined && textOf(fields.type) !== undefined;
}

/** @throws TranshipError `protocol` */
export function toCloudEvent(attributes: Fields): CloudEvent {
  const type = textOf(attributes.type);
  if (type === undefined || textOf(attributes.specversion) === undefined) throw unreadable('the body is no CloudEvent');
  return {
    type,
    id: textOf(attributes.id),
    at: timeOf(attributes.time),
    source: textOf(attributes.source),
    subject: textOf(attributes.subject),
    data: dataOf(attributes),
    attributes,
  };
}

/**
 * The data of an event in structured mode: JSON as it is, as a text, or in base64. Nothing for what is no JSON.
 * @see https://github.com/cloudevents/spec JSON Event Format v1.0.2, 3.1
 */
export function dataOf({ data, data_base64: encoded }: Fields): Fields {
  const text = typeof encoded === 'string' ? Buffer.from(encoded, 'base64').toString('utf8') : data;
  if (typeof text !== 'string') return fieldsOf(data);
  try {
    return fieldsOf(parseJson(text));
  } catch {
    return {};
  }
}
