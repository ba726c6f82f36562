import { gunzipSync, inflateSync } from 'node:zlib';
import { TranshipError } from '../model/errors.ts';
import type { WebhookRequest } from './dialect.ts';

export type Fields = Record<string, unknown>;

/**
 * Events of one request: as many as Event Grid puts into one at most, and few enough to be stored within its time
 * limit.
 */
export const MAX_EVENTS = 5000;

/** A compressed body may have as many bytes as the largest that is taken as it is (zot's). */
const MAX_DECOMPRESSED_BYTES = 5 * 1024 * 1024;

/**
 * The JSON of a request's body: also compressed, behind a byte order mark, and as the form field `payload` (GitHub,
 * Gitea).
 * @throws TranshipError `protocol`; `limit-exceeded` where it is too long once it is decompressed
 */
export function parseBody(request: WebhookRequest): unknown {
  let text = decompressed(request.rawBody).toString('utf8');
  if (/^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '')) {
    // curl says that it sends a form, whatever is given with -d.
    text = new URLSearchParams(text).get('payload') ?? text;
  }
  return parseJson(text);
}

/**
 * The body before a gateway or a script compressed it. Its first bytes tell, and not `Content-Encoding`, which proxies
 * lose or leave behind: no JSON and no form of ours begins like that.
 */
function decompressed(body: Buffer): Buffer {
  const isGzip = body[0] === 0x1f && body[1] === 0x8b;
  const isZlib = body[0] === 0x78 && body.length > 1 && body.readUInt16BE() % 31 === 0;
  if (!isGzip && !isZlib) return body;
  try {
    return (isGzip ? gunzipSync : inflateSync)(body, { maxOutputLength: MAX_DECOMPRESSED_BYTES });
  } catch (cause) {
    if (!isTooLong(cause)) throw unreadable('the body is compressed and damaged');
    throw new TranshipError(`the body is longer than ${MAX_DECOMPRESSED_BYTES} bytes once it is decompressed`, {
      class: 'permanent',
      code: 'limit-exceeded',
      operation: 'read push event',
      cause,
    });
  }
}

function isTooLong(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
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
