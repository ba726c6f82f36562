import type { IncomingHttpHeaders } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Dispatcher } from 'undici';
import type { Call } from '../call.ts';
import { noteWarnings } from '../headers/warning.ts';
import type { Endpoint } from '../state.ts';
import { discard, readBody } from './body.ts';
import type { Connections } from './connections.ts';
import { isHangUp, networkError } from './network-error.ts';
import { type ProxyServer, type ProxySettings, proxyAuthorization, proxyFor, proxyName } from './proxy.ts';
import { proxyStatus } from './proxy-error.ts';

/** One HTTP request as it goes out. */
export interface WireRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: URL;
  headers?: Record<string, string>;
  body?: Buffer | string | Readable;
  /** Value of the header `Authorization`. */
  authorization?: string;
  /** Time for the head of the response to come, where it is not the client's `stallMs`. */
  responseTimeoutMs?: number;
}

/** The head of a response, and its body to be read, discarded or destroyed. */
export interface RegistryResponse {
  status: number;
  headers: IncomingHttpHeaders;
  body: Readable;
  /** Where it came from, after redirects. */
  url: URL;
  /** The registry that was asked. */
  endpoint: Endpoint;
  /** It did not come from the registry's own origin. */
  isForeign: boolean;
  /** The proxy that passed a plain http request on, for messages: it may have answered itself. */
  via?: string;
  /** What was sent and must not be shown, in case the response repeats it. */
  secrets: readonly string[];
}

/**
 * One request and its response: no login is added, no redirect followed. It is sent again only where an old connection
 * turns out to be closed.
 * @throws TranshipError where there is no response
 */
export async function exchange(call: Call, endpoint: Endpoint, request: WireRequest): Promise<RegistryResponse> {
  const { onRequest, proxy: settings } = call.client.options;
  const { method, url } = request;
  const isForeign = url.origin !== endpoint.base.origin;
  const proxy = forwardingProxy(settings, url);
  const event = { registry: endpoint.registry, method, operation: call.operation };
  const received = await transmit(call, connectionsFor(endpoint, request, isForeign), request, proxy).catch(
    (thrown: unknown) => {
      onRequest?.(event);
      throw networkError(thrown, call, url.host);
    },
  );
  const { statusCode: status, headers, body } = received;
  onRequest?.({ ...event, status });
  if (proxy !== undefined && isOfForwarder(status, headers)) {
    await discard(body);
    const refusal = proxyStatus(proxy, url.host, { status, challenge: headers['proxy-authenticate'] });
    throw networkError(refusal, call, url.host);
  }
  if (!isForeign) noteWarnings(call.client, endpoint.registry, headers.warning);
  return { status, headers, body, url, endpoint, isForeign, via: proxy && proxyName(proxy), secrets: [] };
}

function connectionsFor({ reads, uploads, foreign }: Endpoint, { body }: WireRequest, isForeign: boolean): Connections {
  if (isForeign) return foreign;
  return body instanceof Readable ? uploads : reads;
}

/**
 * Sends the request. A peer may close an idle connection just as a request goes out on it; that says nothing about the
 * next connection, so the request is sent again at once. While no new connection was opened it was an old one that
 * failed, and there are only so many of those (net/http's shouldRetryRequest does the same).
 */
async function transmit(
  { client, signal }: Call,
  connections: Connections,
  request: WireRequest,
  proxy: ProxyServer | undefined,
): Promise<Dispatcher.ResponseData> {
  const { method, url, headers, body, authorization, responseTimeoutMs } = request;
  for (let hangUps = 0; ; hangUps += 1) {
    const { opened } = connections;
    try {
      return await connections.agent.request({
        origin: url.origin,
        path: `${proxy === undefined ? '' : url.origin}${url.pathname}${url.search}`,
        method,
        headers: {
          'user-agent': client.options.userAgent,
          // A digest holds for the bytes that are stored, not for what a proxy compresses.
          'accept-encoding': 'identity',
          ...headers,
          authorization,
          'proxy-authorization': proxy && proxyAuthorization(proxy),
        },
        body,
        signal,
        headersTimeout: responseTimeoutMs,
        // undici closes the connection after a HEAD otherwise (client-h1.js).
        ...(method === 'HEAD' && { reset: false }),
      });
    } catch (thrown) {
      const mayBeStale = opened > 0 && (hangUps === 0 || connections.opened === opened);
      if (signal?.aborted || !mayBeStale || !isHangUp(thrown) || !isRepeatable(request)) throw thrown;
    }
  }
}

/**
 * May the request be sent twice? A second POST makes a second upload session, and the registry forgets the first. A
 * second PUT that ends an upload may find the session gone: then the blob is there, and `finishUpload` looks.
 */
function isRepeatable({ method, body }: WireRequest): boolean {
  return method !== 'PATCH' && !(body instanceof Readable);
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
 * @throws TranshipError `limit-exceeded`, or what the connection failed with
 */
export async function readResponse(call: Call, response: RegistryResponse, maxBytes: number): Promise<Buffer> {
  try {
    return await readBody(decompressed(response), maxBytes);
  } catch (thrown) {
    throw networkError(thrown, call, response.url.host);
  }
}

function decompressed({ headers, body }: RegistryResponse): Readable {
  const coding = headers['content-encoding']?.trim().toLowerCase();
  const decoder = { gzip: createGunzip, 'x-gzip': createGunzip, deflate: createInflate, br: createBrotliDecompress }[
    coding ?? ''
  ];
  if (decoder === undefined) return body;
  const decoded = decoder();
  // pipeline() destroys both when one fails or the reader stops; the reader sees the error.
  pipeline(body, decoded, () => {});
  return decoded;
}
