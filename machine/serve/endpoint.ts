import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WebhookRequest } from '../../core/announce/dialect.ts';
import { dialects } from '../../core/announce/dialects.ts';
import { DEFAULT_MAX_BODY_BYTES, type Receipt, receive } from '../../core/announce/receive.ts';
import type { WebhookSource } from '../../core/announce/source.ts';
import { isHookPath, splitHookPath, type VerifyDeps } from '../../core/announce/verify.ts';
import { configurationError, toFailure } from '../../core/model/errors.ts';
import { metricsType } from './metrics.ts';

export interface EndpointOptions {
  listen: { host: string; port: number };
  sources: ReadonlyMap<string, WebhookSource>;
  verify: VerifyDeps;
  /** Why nothing can be taken now; undefined where it can. */
  refusal(): string | undefined;
  /** Resolves when what the receipt announces is on the disk. */
  store(source: WebhookSource, receipt: Receipt): Promise<void>;
  /** Each answer to a delivery. */
  answered(answer: Answered): void;
  renderMetrics(): Promise<string>;
}

export interface Answered {
  /** Undefined for a URL that is nobody's. */
  source?: string;
  status: number;
  receipt?: Receipt;
  /** Why it was refused, where not even a receipt was made. */
  why?: string;
}

export interface Endpoint {
  url: string;
  /** Takes no more connections and gives those that are open a moment to end. */
  close(): Promise<void>;
}

/** Whole request, body included; the senders' own time limits are 3 to 30 s. */
const REQUEST_TIMEOUT_MS = 10_000;
const CLOSE_WITHIN_MS = 2_000;
/** Bodies in memory at once, all senders together. */
const MAX_BYTES_IN_HAND = 64 * 1024 * 1024;
const MAX_SKIPPED_BYTES = 8 * 1024 * 1024;
const MAX_CONNECTIONS = 2_000;
const RETRY_AFTER_SECONDS = '30';

/**
 * Serves `POST /hooks/<source>/<token>`, `/healthz`, `/readyz` and `/metrics`.
 * @throws TranshipError `configuration` where the address cannot be listened on
 */
export async function openEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const { host, port } = options.listen;
  const memory = { bytesInHand: 0 };
  const server = createServer(
    { headersTimeout: 5_000, requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: 30_000, maxHeaderSize: 16 * 1024 },
    (request, response) => {
      handle(options, memory, request, response).catch(() => {
        // The client went away, or took too long.
        request.destroy();
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  }).catch((cause: NodeJS.ErrnoException) => {
    throw configurationError(`cannot listen on ${host}:${port}: ${cause.code ?? cause.message}`, {
      mend: 'Give a free address of this machine with --listen.',
      cause,
    });
  });
  const { address, port: bound, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS);
      await closed;
      clearTimeout(late);
    },
  };
}

async function handle(
  options: EndpointOptions,
  memory: { bytesInHand: number },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url?.split('?', 1)[0] ?? '/';
  if (path.startsWith('/hooks/')) return takeDelivery(options, memory, path, request, response);
  request.resume();
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(response, 405, 'read only\n', { allow: 'GET' });
  const refusal = options.refusal();
  switch (path) {
    case '/healthz':
      return send(response, 200, 'ok\n');
    case '/readyz':
      return refusal === undefined ? send(response, 200, 'ready\n') : send(response, 503, `${refusal}\n`);
    case '/metrics':
      return send(response, 200, await options.renderMetrics(), { 'content-type': metricsType });
    default:
      return send(response, 404, 'not found\n');
  }
}

async function takeDelivery(
  options: EndpointOptions,
  memory: { bytesInHand: number },
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const source = options.sources.get(splitHookPath(path)?.source ?? '');
  // Nobody makes this process hold a body without the right URL.
  if (source === undefined || !isHookPath(path, source)) {
    options.answered({ source: source?.name, status: 404, why: 'the token in the URL is wrong' });
    return refuse(request, response, 404, 'not found');
  }
  const refuseForNow = (why: string, cause?: unknown): Promise<void> => {
    // What went wrong here is not for the sender to know.
    const more = cause === undefined ? '' : `: ${toFailure(cause).message}`;
    options.answered({ source: source.name, status: 503, why: `${why}${more}` });
    return refuse(request, response, 503, why);
  };
  const busy = options.refusal();
  if (busy !== undefined) return refuseForNow(busy);

  const limit = dialects[source.dialect].maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
  const body = await readBody(request, limit, memory);
  if (body === undefined) return refuseForNow('too much at once');
  try {
    const receipt = await receive(toRequest(request, path, body), source, options.verify);
    if (receipt.announcements.length > 0) {
      try {
        await options.store(source, receipt);
      } catch (error) {
        return await refuseForNow('it could not be stored', error);
      }
    }
    options.answered({ source: source.name, status: receipt.status, receipt });
    const isRead = await skipRest(request);
    send(response, receipt.status, receipt.body, { ...receipt.headers, ...(!isRead && { connection: 'close' }) });
  } finally {
    memory.bytesInHand -= body.length;
  }
}

/**
 * The body, or as much of it as shows that it is too long.
 * @returns undefined where all bodies in hand together are too much
 */
async function readBody(
  request: IncomingMessage,
  limit: number,
  memory: { bytesInHand: number },
): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  let isKept = false;
  try {
    for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      parts.push(part);
      length += part.length;
      memory.bytesInHand += part.length;
      if (memory.bytesInHand > MAX_BYTES_IN_HAND) return undefined;
      if (length > limit) break;
    }
    isKept = true;
    return Buffer.concat(parts);
  } finally {
    if (!isKept) memory.bytesInHand -= length;
  }
}

function toRequest({ method = '', headers }: IncomingMessage, path: string, rawBody: Buffer): WebhookRequest {
  const single = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(', ') : value,
  ]);
  return { method, path, headers: Object.fromEntries(single), rawBody };
}

/** Answers a request whose body is not wanted. */
async function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  error: string,
): Promise<void> {
  const isRead = await skipRest(request);
  send(response, status, JSON.stringify({ error }), {
    'content-type': 'application/json',
    ...(!isRead && { connection: 'close' }),
    ...(status === 503 && { 'retry-after': RETRY_AFTER_SECONDS }),
  });
}

/**
 * Lets the sender end: one whose connection is closed while it sends does not read the answer.
 * @returns false where it goes on for too long
 */
async function skipRest(request: IncomingMessage): Promise<boolean> {
  let length = 0;
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MAX_SKIPPED_BYTES) return false;
  }
  return true;
}

function send(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
