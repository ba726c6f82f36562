import type { IncomingMessage, ServerResponse } from 'node:http';
import { TranshipError, toFailure } from '../../core/model/errors.ts';
import { send } from '../serve/http.ts';
import { type ApiRequest, answerApi } from './api.ts';
import { guardHeaders, hostName, isFromPage, isOwnHost } from './guard.ts';
import { createLive } from './live.ts';
import { type PageFile, readPageFiles } from './page-files.ts';
import { createReader } from './reader.ts';
import { createSessions, type Sessions } from './sessions.ts';
import type { StatusHost } from './status-host.ts';

export interface StatusPageOptions {
  host: StatusHost;
  /** What lets somebody in. */
  token: string;
  /** Names by which the page is asked for, besides addresses and `localhost`. Ports and capitals make no difference. */
  hostNames: readonly string[];
  /** Where the page's files are. */
  directory: string;
  now: () => number;
}

export interface StatusPage {
  /** Answers a request; false where the path is not the page's. */
  answer(path: string, request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  /** Ends what is sent to watchers. */
  close(): void;
}

/** Everything of the page is below it. */
const PAGE_PATH = '/ui/';
const API_PATH = `${PAGE_PATH}api/`;
const MAX_BODY_BYTES = 16 * 1024;

/**
 * The status page: its files, what they ask for, and the login before that.
 * @throws TranshipError `configuration` where the page's files are missing
 */
export async function openStatusPage(options: StatusPageOptions): Promise<StatusPage> {
  const { host, now } = options;
  const files = await readPageFiles(options.directory);
  const reader = createReader(host, now);
  const live = createLive(() => reader.overview(), host.everyMs);
  const hostNames = options.hostNames.flatMap((name) => hostName(name) ?? []);
  let port = 0;
  const sessions = createSessions({ token: options.token, path: PAGE_PATH, port: () => port, now });

  async function answerBelow(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    port = request.socket.localPort ?? 0;
    for (const [name, value] of Object.entries(guardHeaders)) response.setHeader(name, value);
    if (!isOwnHost(request.headers.host, hostNames)) {
      request.resume();
      return send(response, 421, 'this name is not one of the page: give it with --ui-host\n');
    }
    if (!path.startsWith(API_PATH)) return sendFile(files, path, request, response);
    const name = path.slice(API_PATH.length);
    const isWrite = request.method === 'POST';
    if (!isWrite && request.method !== 'GET') {
      request.resume();
      return sendJson(response, 405, { error: 'GET and POST only' }, { allow: 'GET, POST' });
    }
    if (isWrite && !isFromPage(request.headers)) {
      request.resume();
      return sendJson(response, 403, { error: 'this request does not come from the page' });
    }
    const body = isWrite ? await readJson(request) : undefined;
    if (!isWrite) request.resume();
    if (isWrite && name === 'login') return logIn(sessions, body, request, response);
    if (!sessions.isIn(request.headers.cookie)) return sendJson(response, 401, { error: 'log in first' });
    if (isWrite && name === 'logout') {
      return sendJson(response, 200, {}, { 'set-cookie': sessions.logout(request.headers.cookie) });
    }
    if (!isWrite && name === 'live') return live.watch(response);
    const asked: ApiRequest = { name, isWrite, query: queryOf(request), body };
    const answer = await answerSafely(() => answerApi({ reader, host }, asked));
    if (isWrite) live.lookNow();
    sendJson(response, answer.status, answer.body);
  }

  return {
    async answer(path, request, response) {
      if (path === '/' || path === PAGE_PATH.slice(0, -1)) {
        request.resume();
        send(response, 302, '', { ...guardHeaders, location: PAGE_PATH });
        return true;
      }
      if (!path.startsWith(PAGE_PATH)) return false;
      await answerBelow(path, request, response);
      return true;
    },
    close: live.close,
  };
}

function logIn(sessions: Sessions, body: unknown, request: IncomingMessage, response: ServerResponse): void {
  const token = typeof body === 'object' && body !== null && 'token' in body ? body.token : undefined;
  const result = sessions.login(typeof token === 'string' ? token : '', request.socket.remoteAddress ?? '');
  if (result.kind === 'wrong') sendJson(response, 401, { error: 'this is not the token' });
  else if (result.kind === 'later') {
    const { seconds } = result;
    const error = `too many wrong tokens: try again in ${seconds} s`;
    sendJson(response, 429, { error }, { 'retry-after': String(seconds) });
  } else {
    const isSecure = request.headers['x-forwarded-proto'] === 'https';
    sendJson(response, 200, {}, { 'set-cookie': `${result.cookie}${isSecure ? '; Secure' : ''}` });
  }
}

async function answerSafely(work: () => Promise<{ status: number; body: unknown }>) {
  try {
    return await work();
  } catch (error) {
    const { message, mend } = toFailure(error);
    const isAsked = error instanceof TranshipError && error.class === 'configuration';
    return { status: isAsked ? 400 : 500, body: { error: message, mend } };
  }
}

function sendFile(
  files: ReadonlyMap<string, PageFile>,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  request.resume();
  const name = path.slice(PAGE_PATH.length);
  const file = files.get(name === '' ? 'index.html' : name);
  if (file === undefined) {
    send(response, 404, 'not found\n');
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(response, 405, 'read only\n', { allow: 'GET, HEAD' });
    return;
  }
  response.setHeader('cache-control', 'no-cache');
  response.setHeader('etag', file.etag);
  response.setHeader('vary', 'accept-encoding');
  if (request.headers['if-none-match'] === file.etag) {
    response.writeHead(304).end();
    return;
  }
  const takesGzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  const bytes = takesGzip ? file.gzipped : file.bytes;
  if (takesGzip) response.setHeader('content-encoding', 'gzip');
  response.writeHead(200, { 'content-type': file.contentType, 'content-length': bytes.length });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  send(response, status, JSON.stringify(body), { 'content-type': 'application/json', ...headers });
}

function queryOf({ url = '/' }: IncomingMessage): URLSearchParams {
  const start = url.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : url.slice(start));
}

/** The body as JSON; undefined where it is none, or too long. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length <= MAX_BODY_BYTES) parts.push(part);
  }
  if (length > MAX_BODY_BYTES) return undefined;
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    return undefined;
  }
}
