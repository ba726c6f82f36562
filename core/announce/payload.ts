import { TranshipError } from '../model/errors.ts';
import type { WebhookRequest } from './dialect.ts';

export type Fields = Record<string, unknown>;

/** Events of one request: as many as Event Grid puts into one at most, and few enough to be stored within its time limit. */
export const MAX_EVENTS = 5000;

/**
 * The JSON of a request's body: also behind a byte order mark, and as the form field `payload` (GitHub, Gitea).
 * @throws TranshipError `protocol`
 */
export function parseBody(request: WebhookRequest): unknown {
  let text = request.rawBody.toString('utf8');
  if (/^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '')) {
    // curl says that it sends a form, whatever is given with -d.
    text = new URLSearchParams(text).get('payload') ?? text;
  }
  return parseJson(text);
}

/** @throws TranshipError `protocol` */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfe_ff ? text.slice(1) : text);
  } catch {
    throw unreadable('the body is not JSON');
  }
}

/** The body as a JSON object. @throws TranshipError `protocol` */
export function parseObject(request: WebhookRequest): Fields {
  const body = parseBody(request);
  if (!isObject(body)) throw unreadable('the body is not a JSON object');
  return body;
}

/** The dialects' own error: nobody can make anything of this request, now or later. */
export function unreadable(what: string): TranshipError {
  return new TranshipError(what, { class: 'permanent', code: 'protocol', operation: 'read push event' });
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object, or one without fields. */
export function fieldsOf(value: unknown): Fields {
  return isObject(value) ? value : {};
}

/** The list, or an empty one. */
export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The text where it is one and not empty. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The parts with slashes between them; undefined where one is not there. */
export function joinPath(...parts: unknown[]): string | undefined {
  const texts = parts.map(textOf);
  return texts.includes(undefined) ? undefined : texts.join('/');
}

const isoTime = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:?\d\d)$/;

/** Epoch ms of an ISO 8601 time with its zone, or of a number of seconds. */
export function timeOf(value: unknown): number | undefined {
  const parts = typeof value === 'string' ? isoTime.exec(value) : null;
  const zone = parts?.[2]?.replace(/^(...)(\d\d)$/, '$1:$2');
  const ms =
    parts === null ? (typeof value === 'number' ? value * 1000 : Number.NaN) : Date.parse(`${parts[1]}${zone}`);
  // GitHub sends the year 1.
  return Number.isFinite(ms) && ms > 0 && ms < 8.64e15 ? Math.trunc(ms) : undefined;
}

/** Text of a sender for people: one line, without control characters, at most 300 characters. */
export function clean(text: string): string {
  return text
    .slice(0, 300)
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .trim();
}
