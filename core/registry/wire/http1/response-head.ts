import type { IncomingHttpHeaders } from 'node:http';
import { wireError } from './wire-error.ts';

/** Status line and headers of a response. */
export interface ResponseHead {
  status: number;
  /** By lower-case name. Those that came several times are arrays, but for headers of one value. */
  headers: IncomingHttpHeaders;
  /** How its body ends. */
  framing: Framing;
  /** Whether the connection may be used again, as far as the peer says. */
  keepsAlive: boolean;
  /** For how long it stays open without a request, where the peer says so (`Keep-Alive`). */
  idleMs: number | undefined;
}

export type Framing =
  | { kind: 'none' }
  | { kind: 'length'; bytes: number }
  | { kind: 'chunked' }
  /** Until the peer closes the connection. */
  | { kind: 'close' };

const LF = 10;

const statusLine = /HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?(?:\r\n|$)/y;
/** A line that continues the one before (obs-fold) is none: it begins with a blank. */
const fieldLine = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*(?:\r\n|$)/y;

/** Headers of one value: of several, the first counts, as in net/http. */
const takenOnce = new Set([
  'content-encoding',
  'content-range',
  'content-type',
  'docker-content-digest',
  'etag',
  'location',
  'range',
  'retry-after',
]);

/**
 * Reads the head of a response, without the empty line at its end. It is stricter than RFC 9112 asks for: whatever
 * another reader could read differently is refused, since what a proxy and we think of the same bytes must agree.
 *
 * @param method of the request
 * @throws WireError `NOT_HTTP`
 */
export function parseResponseHead(method: string, text: string): ResponseHead {
  statusLine.lastIndex = 0;
  const [line = '', minor, digits] = statusLine.exec(text) ?? [];
  if (digits === undefined) throw notHttp('the status line is not one of HTTP/1.1');
  const headers = parseFields(text, line.length);
  const status = Number(digits);
  const isOld = minor === '0';
  const framing = framingOf(method, status, headers, isOld);
  const options = headers.connection === undefined ? [] : optionsOf(headers.connection);
  const keepsAlive =
    framing.kind !== 'close' && !options.includes('close') && (!isOld || options.includes('keep-alive'));
  return { status, headers, framing, keepsAlive, idleMs: idleHint(headers['keep-alive']) };
}

/** Of a Connection header. */
function optionsOf(header: string | string[]): string[] {
  const tokens = [header].flat().join(',').toLowerCase().split(',');
  return tokens.map((token) => token.trim());
}

/**
 * The fields of a head or a trailer, from a place in its text on, without the line end behind the last.
 * @throws WireError `NOT_HTTP`
 */
export function parseFields(text: string, from: number): IncomingHttpHeaders {
  const headers: Record<string, string | string[]> = Object.create(null);
  fieldLine.lastIndex = from;
  for (let at = from; at < text.length; at = fieldLine.lastIndex) {
    if (!fieldLine.test(text)) throw notHttp('a line of the head is not a header');
    const end = fieldLine.lastIndex;
    const colon = text.indexOf(':', at);
    const key = text.slice(at, colon).toLowerCase();
    const value = trimmed(text, colon + 1, text.charCodeAt(end - 1) === LF ? end - 2 : end);
    const before = headers[key];
    if (before === undefined) headers[key] = value;
    else if (takenOnce.has(key)) continue;
    else if (Array.isArray(before)) before.push(value);
    else headers[key] = [before, value];
  }
  return headers as IncomingHttpHeaders;
}

/** A part of a text, without blanks around. Not by trim(), which takes more, nor by a pattern, which could be slow. */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** RFC 9112 section 6.3, without its leniencies. */
function framingOf(method: string, status: number, headers: IncomingHttpHeaders, isOld: boolean): Framing {
  const { 'content-length': lengths, 'transfer-encoding': coding } = headers as Record<string, string | string[]>;
  // The same number twice, as some gateways send it, has one reading (RFC 9110 section 8.6; net/http takes it).
  const length = Array.isArray(lengths) ? lengths[0] : lengths;
  const isOther = (one: string) => one !== length;
  if (length !== undefined && (!/^\d{1,15}$/.test(length) || (Array.isArray(lengths) && lengths.some(isOther)))) {
    throw notHttp('Content-Length is not one number');
  }
  if (coding !== undefined) {
    if (length !== undefined) throw notHttp('it has both Content-Length and Transfer-Encoding');
    if (isOld || typeof coding !== 'string' || coding.toLowerCase() !== 'chunked') {
      throw notHttp('Transfer-Encoding is not "chunked"');
    }
  }
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { kind: 'none' };
  if (coding !== undefined) return { kind: 'chunked' };
  return length === undefined ? { kind: 'close' } : { kind: 'length', bytes: Number(length) };
}

/** `timeout` of a Keep-Alive header, in ms. */
function idleHint(header: unknown): number | undefined {
  const seconds = typeof header === 'string' ? /(?:^|[,\s])timeout=(\d{1,6})(?=$|[,\s])/i.exec(header)?.[1] : undefined;
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

export function notHttp(why: string) {
  return wireError('NOT_HTTP', why);
}
