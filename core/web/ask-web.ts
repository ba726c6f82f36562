import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { TranshipError } from '../model/errors.ts';
import { type TrustStore, tlsContexts } from '../registry/wire/trust.ts';

/** How sites other than registries are reached: chats, token services, and whoever publishes keys. */
export interface Web {
  /** Names proxies. */
  env: Record<string, string | undefined>;
  trust: TrustStore;
  userAgent: string;
}

export interface WebRequest {
  method: 'GET' | 'POST';
  url: URL;
  headers?: Record<string, string>;
  body?: string;
  timeoutMs: number;
  /** Of the answer; what is longer is cut. */
  maxBytes: number;
}

export interface WebAnswer {
  status: number;
  body: string;
  /** The body was longer. */
  isCut: boolean;
}

/**
 * One small request, by the proxies that the environment names (as Node's `NODE_USE_ENV_PROXY`). No redirect is followed.
 * @throws TranshipError `network` or `timeout`; no message holds the URL's path, which may be a secret
 * @see https://nodejs.org/docs/latest-v24.x/api/http.html#built-in-proxy-support
 */
export async function askWeb({ env, trust, userAgent }: Web, wanted: WebRequest): Promise<WebAnswer> {
  const { method, url, headers, body, timeoutMs, maxBytes } = wanted;
  const isTls = url.protocol === 'https:';
  const agent = isTls
    ? new HttpsAgent({ proxyEnv: env, secureContext: await tlsContexts(trust, url.host, undefined).foreign() })
    : new HttpAgent({ proxyEnv: env });
  const { promise, resolve, reject } = Promise.withResolvers<WebAnswer>();
  const request = (isTls ? httpsRequest : httpRequest)(
    url,
    {
      method,
      agent,
      headers: {
        ...headers,
        'user-agent': userAgent,
        ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
      },
      signal: AbortSignal.timeout(timeoutMs),
    },
    (response) => {
      readStart(response, maxBytes).then((start) => resolve({ status: response.statusCode ?? 0, ...start }), reject);
    },
  );
  request.on('error', reject);
  request.end(body);
  try {
    return await promise;
  } catch (cause) {
    const isLate = cause instanceof Error && cause.name === 'TimeoutError';
    const reason = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
    throw new TranshipError(
      isLate ? `${url.host}: no answer in ${timeoutMs / 1000} s` : `no connection to ${url.host}${reason}`,
      {
        class: 'transient',
        code: isLate ? 'timeout' : 'network',
        cause,
      },
    );
  } finally {
    agent.destroy();
  }
}

async function readStart(response: IncomingMessage, maxBytes: number): Promise<Pick<WebAnswer, 'body' | 'isCut'>> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response) {
    parts.push(part);
    length += part.length;
    if (length > maxBytes) break;
  }
  return { body: Buffer.concat(parts).subarray(0, maxBytes).toString('utf8'), isCut: length > maxBytes };
}
