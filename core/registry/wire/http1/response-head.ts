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

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Also a line that continues the one before (obs-fold) has such a byte: it begins with a blank. */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;

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
  const lines = text.split('\r\n');
  const [, minor, digits] = statusLine.exec(lines[0] ?? '') ?? [];
  if (digits === undefined) throw notHttp('the status line is not one of HTTP/1.1');
  const headers = parseFields(lines, 1);
  const status = Number(digits);
  const isOld = minor === '0';
  const framing = framingOf(method, status, headers, isOld);
  const tokens = headers.connection === undefined ? '' : [headers.connection].flat().join(',').toLowerCase();
  const options = tokens === '' ? [] : tokens.split(',').map((token) => token.trim());
  const keepsAlive =
    framing.kind !== 'close' && !options.includes('close') && (!isOld || options.includes('keep-alive'));
  return { status, headers, framing, keepsAlive, idleMs: idleHint(headers['keep-alive']) };
}

/**
 * The fields of a head or a trailer, from a line on.
 * @throws WireError `NOT_HTTP`
 */
export function parseFields(lines: readonly string[], from: number): IncomingHttpHeaders {
  const headers: Record<string, string | string[]> = Object.create(null);
  for (let at = from; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    if (!fieldName.test(name) || notInValue.test(line)) throw notHttp('a line of the head is not a header');
    const value = trimBlanks(line, colon + 1);
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (takenOnce.has(name)) continue;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [before, value];
  }
  return headers as IncomingHttpHeaders;
}

/** Not by trim(), which takes more than blanks and tabs, nor by a pattern, which could be slow. */
function trimBlanks(line: string, from: number): string {
  let start = from;
  let end = line.length;
  while (start < end && isBlank(line.charCodeAt(start))) start += 1;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end -= 1;
  return line.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** RFC 9112 section 6.3, without its leniencies. */
function framingOf(method: string, status: number, headers: IncomingHttpHeaders, isOld: boolean): Framing {
  const { 'content-length': lengths, 'transfer-encoding': coding } = headers as Record<string, string | string[]>;
  // The same number twice, as some gateways send it, has one reading (RFC 9110 section 8.6; net/http takes it).
  const [length, ...others] = new Set([lengths ?? []].flat());
  if (length !== undefined && (others.length > 0 || !/^\d{1,15}$/.test(length))) {
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
