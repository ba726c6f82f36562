import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { Call } from '../call.ts';
import { noteWarnings } from '../headers/warning.ts';
import type { Endpoint } from '../state.ts';
import { readBody } from './body.ts';
import { networkError } from './network-error.ts';

export interface Exchange {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: URL;
  headers?: Record<string, string>;
  body?: Buffer | string | Readable;
  authorization?: string;
  /** Time for the answer's head to come, where it is not the client's `stallMs`. */
  answerTimeoutMs?: number;
}

/** The head of an answer, and its body to be read, discarded or destroyed. */
export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Readable;
  /** Where it came from, after redirects. */
  url: URL;
  /** The registry that it was asked of. */
  endpoint: Endpoint;
  /** Not from the registry's own origin. */
  isForeign: boolean;
  /** What must not be shown, should the answer repeat it. */
  secrets: readonly string[];
}

/**
 * One request and its answer: no login is added, no redirect followed, nothing repeated.
 * @throws TranshipError where there is no answer
 */
export async function exchange(call: Call, endpoint: Endpoint, request: Exchange): Promise<Answer> {
  const { client, signal } = call;
  const { method, url, headers, body, authorization, answerTimeoutMs } = request;
  const isForeign = url.origin !== endpoint.base.origin;
  const event = { registry: endpoint.registry, method, operation: call.operation };
  try {
    const ownAgent = body instanceof Readable ? endpoint.uploadAgent : endpoint.agent;
    const response = await (isForeign ? endpoint.foreignAgent : ownAgent).request({
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
      headersTimeout: answerTimeoutMs,
      // undici closes the connection after a HEAD otherwise (client-h1.js).
      ...(method === 'HEAD' && { reset: false }),
    });
    client.options.onRequest?.({ ...event, status: response.statusCode });
    if (!isForeign) noteWarnings(client, endpoint.registry, response.headers.warning);
    const { statusCode: status, headers: received, body: stream } = response;
    return { status, headers: received, body: stream, url, endpoint, isForeign, secrets: [] };
  } catch (thrown) {
    client.options.onRequest?.(event);
    throw networkError(thrown, call, url.host);
  }
}

/**
 * The whole body of an answer.
 * @throws TranshipError `limit-exceeded`, or what the connection failed with
 */
export async function readAnswer(call: Call, answer: Answer, maxBytes: number): Promise<Buffer> {
  try {
    return await readBody(answer.body, maxBytes);
  } catch (thrown) {
    throw networkError(thrown, call, answer.url.host);
  }
}
