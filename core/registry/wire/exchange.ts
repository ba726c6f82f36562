import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { Call } from '../call.ts';
import { noteWarnings } from '../headers/warning.ts';
import type { Endpoint } from '../state.ts';
import { readBody } from './body.ts';
import { networkError } from './network-error.ts';

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
  /** What was sent and must not be shown, in case the response repeats it. */
  secrets: readonly string[];
}

/**
 * One request and its response: no login is added, no redirect followed, nothing repeated.
 * @throws TranshipError where there is no response
 */
export async function exchange(call: Call, endpoint: Endpoint, request: WireRequest): Promise<RegistryResponse> {
  const { onRequest } = call.client.options;
  const { method, url } = request;
  const isForeign = url.origin !== endpoint.base.origin;
  const event = { registry: endpoint.registry, method, operation: call.operation };
  const received = await transmit(call, endpoint, request, isForeign).catch((thrown: unknown) => {
    onRequest?.(event);
    throw networkError(thrown, call, url.host);
  });
  const { statusCode: status, headers, body } = received;
  onRequest?.({ ...event, status });
  if (!isForeign) noteWarnings(call.client, endpoint.registry, headers.warning);
  return { status, headers, body, url, endpoint, isForeign, secrets: [] };
}

function transmit({ client, signal }: Call, endpoint: Endpoint, request: WireRequest, isForeign: boolean) {
  const { method, url, headers, body, authorization, responseTimeoutMs } = request;
  const ownAgent = body instanceof Readable ? endpoint.uploadAgent : endpoint.agent;
  return (isForeign ? endpoint.foreignAgent : ownAgent).request({
    origin: url.origin,
    path: url.pathname + url.search,
    method,
    headers: {
      'user-agent': client.options.userAgent,
      // The bytes that are stored are wanted: a digest holds for them, not for what a proxy makes of them.
      'accept-encoding': 'identity',
      ...headers,
      authorization,
    },
    body,
    signal,
    headersTimeout: responseTimeoutMs,
    // undici closes the connection after a HEAD otherwise (client-h1.js).
    ...(method === 'HEAD' && { reset: false }),
  });
}

/**
 * The whole body of a response.
 * @throws TranshipError `limit-exceeded`, or what the connection failed with
 */
export async function readResponse(call: Call, response: RegistryResponse, maxBytes: number): Promise<Buffer> {
  try {
    return await readBody(response.body, maxBytes);
  } catch (thrown) {
    throw networkError(thrown, call, response.url.host);
  }
}
