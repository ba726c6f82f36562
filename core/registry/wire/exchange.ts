import type { IncomingHttpHeaders } from 'node:http';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import type { TranshipError } from '../../model/errors.ts';
import type { Call } from '../call.ts';
import { noteWarnings } from '../headers/warning.ts';
import { paceOf } from '../pace.ts';
import { noteQuota } from '../quota.ts';
import type { Endpoint, RegistryClient } from '../state.ts';
import { discard, type HeldBody, holdBody, readBody, tooLong } from './body.ts';
import type { ByteSource } from './byte-source.ts';
import type { Connections } from './connections.ts';
import { codeOf } from './error-code.ts';
import type { Http1Request, Http1Response } from './http1/connection.ts';
import { isStreamed, lengthOfBody, type StreamedBody, type WholeBody } from './http1/outgoing-body.ts';
import { formatFields, formatRequestHead } from './http1/request-head.ts';
import { isHangUp, networkError } from './network-error.ts';
import { noteNoResponse } from './no-response.ts';
import { type ProxyServer, type ProxySettings, proxyAuthorization, proxyFor, proxyName } from './proxy.ts';
import { proxyStatus } from './proxy-error.ts';

/** Path and query at the registry's own origin, as they go out. */
export type HomePath = string;

/** One HTTP request as it goes out. */
export interface WireRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A path of the registry's own origin needs no URL, which costs as much as the rest of a small request's head. */
  url: URL | HomePath;
  headers?: Record<string, string>;
  body?: WholeBody | StreamedBody;
  /** Value of the header `Authorization`. */
  authorization?: string;
  /** Time for the head of the response to come, where it is not the client's `stallMs`. */
  responseTimeoutMs?: number;
}

/** The head of a response, and its body to be read, discarded or cancelled. */
export interface RegistryResponse {
  status: number;
  headers: IncomingHttpHeaders;
  body: ByteSource;
  /** Where it came from, after redirects; see {@link urlOf}. */
  url: URL | HomePath;
  /** The registry that was asked. */
  endpoint: Endpoint;
  /** It did not come from the registry's own origin. */
  isForeign: boolean;
  /** The proxy that passed a plain http request on, for messages: it may have answered itself. */
  via?: string;
  /** What was sent and must not be shown, in case the response repeats it. */
  secrets: readonly string[];
}

/** Where a response came from, or a request goes to. */
export function urlOf(endpoint: Endpoint, url: URL | HomePath): URL {
  return typeof url === 'string' ? new URL(url, endpoint.base) : url;
}

/** Whether it is at the registry's own origin. */
export function isHome(endpoint: Endpoint, url: URL | HomePath): boolean {
  return typeof url === 'string' || url.origin === endpoint.origin;
}

/**
 * One request and its response: no login is added, no redirect followed. It is sent again only where an old connection
 * turns out to be closed.
 * @throws TranshipError where there is no response
 */
export async function exchange(call: Call, endpoint: Endpoint, request: WireRequest): Promise<RegistryResponse> {
  const { client, operation } = call;
  const { onRequest, proxy: settings } = client.options;
  const { registry } = endpoint;
  const { method, url } = request;
  const isForeign = !isHome(endpoint, url);
  const place = typeof url === 'string' ? endpoint.base : url;
  const proxy = forwardingProxy(settings, place);
  let received: Http1Response;
  try {
    const connections = connectionsFor(endpoint, request, isForeign);
    received = await transmit(call, connections, place, http1Request(call, endpoint, place, request, proxy), request);
  } catch (thrown) {
    onRequest?.({ registry, method, operation });
    const error = networkError(thrown, call, place.host, isForeign);
    if (!isForeign) noteNoResponse(endpoint, error);
    throw error;
  }
  const { status, headers, body } = received;
  onRequest?.({ registry, method, operation, status });
  if (proxy !== undefined && isOfForwarder(status, headers)) {
    await discard(body);
    const refusal = proxyStatus(proxy, place.host, { status, challenge: headers['proxy-authenticate'] });
    throw networkError(refusal, call, place.host);
  }
  if (!isForeign) {
    endpoint.noResponse = undefined;
    if (status === 429) paceOf(client, registry).noteRefusal();
    if (headers.warning !== undefined) noteWarnings(client, registry, headers.warning);
    noteQuota(client, registry, headers);
  }
  return { status, headers, body, url, endpoint, isForeign, via: proxy && proxyName(proxy), secrets: [] };
}

function connectionsFor({ reads, uploads, foreign }: Endpoint, { body }: WireRequest, isForeign: boolean): Connections {
  if (isForeign) return foreign;
  return isStreamed(body) ? uploads : reads;
}

/** So many connections that have been idle may turn out to be closed before one that answers. */
const MAX_STALE = 64;

/**
 * Sends the request. A peer may close an idle connection just as a request goes out on it; that says nothing about the
 * next connection, so the request is sent again at once (net/http's shouldRetryRequest does the same).
 */
async function transmit(
  call: Call,
  connections: Connections,
  place: URL,
  outgoing: Http1Request,
  request: WireRequest,
): Promise<Http1Response> {
  const { signal } = call;
  for (let hangUps = 0; ; hangUps += 1) {
    let connection = connections.takeIdle(place);
    try {
      connection ??= await connections.take(place, signal);
    } catch (error) {
      if (isStreamed(request.body)) request.body.source.cancel();
      throw error;
    }
    const mayBeStale = connection.isUsed() && hangUps < MAX_STALE;
    try {
      return await connection.request(outgoing);
    } catch (thrown) {
      if (signal?.aborted || !mayBeStale || !isHangUp(thrown) || !isRepeatable(request)) throw thrown;
    }
  }
}

function http1Request(
  { client, signal }: Call,
  endpoint: Endpoint,
  place: URL,
  request: WireRequest,
  proxy: ProxyServer | undefined,
): Http1Request {
  const { method, url, headers, body, authorization } = request;
  const path = typeof url === 'string' ? url : `${url.pathname}${url.search}`;
  const head = formatRequestHead(
    method,
    proxy === undefined ? path : `${place.origin}${path}`,
    place === endpoint.base ? endpoint.fields : commonFields(client, place),
    headers === undefined ? '' : formatFields(headers),
    formatFields({
      authorization,
      'proxy-authorization': proxy && proxyAuthorization(proxy),
      'content-length': lengthOf(request),
    }),
  );
  const { stallMs } = client.options;
  return { method, head, body, headTimeoutMs: request.responseTimeoutMs ?? stallMs, stallMs, signal };
}

/** The headers that all requests to a place have in common. */
export function commonFields({ options }: RegistryClient, { host }: URL): string {
  // A digest holds for the bytes that are stored, not for what a proxy compresses.
  return formatFields({ host, 'user-agent': options.userAgent, 'accept-encoding': 'identity' });
}

/** Servers want to know where something that may have a body has none. */
function lengthOf({ method, body }: WireRequest): string | undefined {
  if (body !== undefined) return String(lengthOfBody(body));
  return ['POST', 'PUT', 'PATCH'].includes(method) ? '0' : undefined;
}

/**
 * May the request be sent twice? A second POST makes a second upload session, and the registry forgets the first. A
 * second PUT that ends an upload may find the session gone: then the blob is there, and `finishUpload` looks.
 */
function isRepeatable({ method, body }: WireRequest): boolean {
  return method !== 'PATCH' && !isStreamed(body);
}

/** The proxy that is sent the whole URL of a plain http request. All other proxies pass bytes on. */
function forwardingProxy(settings: ProxySettings | undefined, url: URL): ProxyServer | undefined {
  const proxy = url.protocol === 'http:' ? proxyFor(settings, url) : undefined;
  return proxy?.kind === 'socks5' ? undefined : proxy;
}

/** True for a forwarding proxy's own refusal. Squid marks its error pages. */
function isOfForwarder(status: number, headers: IncomingHttpHeaders): boolean {
  return status === 407 || (status >= 400 && headers['x-squid-error'] !== undefined);
}

/**
 * The whole body of a response. Some gateways compress documents although that was not asked for; such a body is
 * decompressed.
 * @param maxBytes of the body as it was sent, and when it is decompressed
 * @param isWanted true for bytes that are to stay as they were sent: a header may also speak of the file that is stored,
 *   which is compressed and right as it is (moby/moby#17595)
 * @throws TranshipError `limit-exceeded`, or what the connection failed with
 */
export async function readResponse(
  call: Call,
  response: RegistryResponse,
  maxBytes: number,
  isWanted: (sent: Buffer) => boolean = () => false,
): Promise<Buffer> {
  try {
    const bytes = await readBody(response.body, maxBytes);
    const decompress = decoders[response.headers['content-encoding']?.trim().toLowerCase() ?? ''];
    if (decompress === undefined || isWanted(bytes)) return bytes;
    return await decompress(bytes, { maxOutputLength: maxBytes }).catch((error: unknown) => {
      if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') throw tooLong(maxBytes);
      // A proxy may have decompressed it, and left the header (docker-archive/docker-registry#369).
      return bytes;
    });
  } catch (thrown) {
    throw brokenOff(call, response, thrown);
  }
}

/**
 * As {@link readResponse}, in the memory that the body landed in, where it need not be decompressed; see
 * {@link holdBody}.
 * @returns undefined where the body is longer than `maxBytes`
 */
export async function holdResponse(
  call: Call,
  response: RegistryResponse,
  maxBytes: number,
  isWanted: (sent: Buffer) => boolean,
): Promise<HeldBody | undefined> {
  if (response.headers['content-encoding'] !== undefined) {
    const bytes = await readResponse(call, response, 2 * maxBytes + 1024, isWanted);
    return { parts: [bytes], length: bytes.length, release: () => {} };
  }
  return holdBody(response.body, maxBytes).catch((thrown: unknown) => {
    throw brokenOff(call, response, thrown);
  });
}

/** The error of a response whose body did not come to its end. */
function brokenOff(call: Call, { endpoint, url }: RegistryResponse, thrown: unknown): TranshipError {
  return networkError(thrown, call, urlOf(endpoint, url).host);
}

type Decode = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

// Looked up when they are called: few runs need zlib.
const decodeGzip: Decode = (bytes, options) => promisify(gunzip)(bytes, options);
const decoders: Record<string, Decode> = {
  gzip: decodeGzip,
  'x-gzip': decodeGzip,
  deflate: (bytes, options) => promisify(inflate)(bytes, options),
  br: (bytes, options) => promisify(brotliDecompress)(bytes, options),
};
