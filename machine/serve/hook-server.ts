import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Announcement, Ignored } from '../../core/announce/announcement.ts';
import type { WebhookRequest } from '../../core/announce/dialect.ts';
import { dialects } from '../../core/announce/dialects.ts';
import type { IntakeResult } from '../../core/announce/intake.ts';
import { DEFAULT_MAX_BODY_BYTES, type HookResponse, receive, respond } from '../../core/announce/receive.ts';
import type { Sender } from '../../core/announce/sender.ts';
import { isHookPath, splitHookPath, type VerifyDeps } from '../../core/announce/verify.ts';
import { toFailure } from '../../core/model/errors.ts';
import type { StatusPage } from '../ui/status-page.ts';
import { type AdminOptions, answerAdmin } from './admin.ts';
import { send } from './http.ts';
import { type Address, type Listener, listen } from './listener.ts';

export interface HookServerOptions {
  listen: Address;
  /** Where health, metrics and reload are answered; without it health and metrics are, at `listen`. */
  adminListen?: Address;
  /** The senders of now, by name. */
  senders(): ReadonlyMap<string, Sender>;
  verify: VerifyDeps;
  /** Why no push event can be stored now; undefined where it can. */
  refusal(): string | undefined;
  /** Resolves when what was announced is on the disk, with what became of each. */
  store(announcements: readonly Announcement[], settleMs: number): Promise<IntakeResult[]>;
  /** Called for each delivery, before it is answered. */
  delivered(delivery: Delivery): void;
  admin: AdminOptions;
  /** Shown at `adminListen`. */
  page?: Pick<StatusPage, 'answer'>;
}

/** What a sender posted, and what became of it. */
export interface Delivery {
  /** Undefined for a URL that is nobody's. */
  sender?: string;
  status: number;
  /** Why nothing of it was taken. */
  refusal?: string;
  /** What a person must do, once. */
  notice?: string;
  results: readonly IntakeResult[];
  /** All that leads to nothing, that of the results too. */
  ignored: readonly Ignored[];
}

export interface HookServer {
  url: string;
  adminUrl?: string;
  close(): Promise<void>;
}

/** Bodies in memory at once, all senders together. */
const MAX_BYTES_IN_HAND = 64 * 1024 * 1024;
const MAX_SKIPPED_BYTES = 8 * 1024 * 1024;
const RETRY_AFTER_SECONDS = '30';

/**
 * Serves `POST /hooks/<sender>/<token>`, and what {@link answerAdmin} does.
 * @throws TranshipError as {@link listen}
 */
export async function openHookServer(options: HookServerOptions): Promise<HookServer> {
  const memory = { bytesInHand: 0 };
  const hooksAnd =
    (answerOthers: (path: string, request: IncomingMessage, response: ServerResponse) => Promise<void>) =>
    async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const path = pathOf(request);
      if (path.startsWith('/hooks/')) return takeDelivery(options, memory, path, request, response);
      return answerOthers(path, request, response);
    };
  const { admin, adminListen } = options;
  if (adminListen === undefined) {
    const shared: AdminOptions = { refusal: admin.refusal, metrics: admin.metrics };
    return listen(
      options.listen,
      hooksAnd((path, request, response) => answerAdmin(shared, path, request, response)),
    );
  }
  const hooks = await listen(
    options.listen,
    hooksAnd(async (_path, request, response) => {
      request.resume();
      send(response, 404, 'not found\n');
    }),
  );
  let own: Listener;
  try {
    own = await listen(adminListen, async (request, response) => {
      const path = pathOf(request);
      if (await options.page?.answer(path, request, response)) return;
      await answerAdmin(admin, path, request, response);
    });
  } catch (error) {
    await hooks.close();
    throw error;
  }
  return {
    url: hooks.url,
    adminUrl: own.url,
    async close() {
      await Promise.all([hooks.close(), own.close()]);
    },
  };
}

/**
 * The path alone. Proxies may ask by the whole URL (RFC 9112, section 3.2.2), and a sender's base URL may end with the
 * slash that the path begins with.
 */
function pathOf({ url = '/' }: IncomingMessage): string {
  const [target = ''] = url.split('?', 1);
  return target.replace(/^https?:\/\/[^/]*/i, '').replace(/^\/*/, '/');
}

async function takeDelivery(
  options: HookServerOptions,
  memory: { bytesInHand: number },
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const sender = options.senders().get(splitHookPath(path)?.name ?? '');
  const delivered = (delivery: Pick<Delivery, 'status'> & Partial<Delivery>): void =>
    options.delivered({ sender: sender?.name, results: [], ignored: [], ...delivery });
  // Nobody makes this process hold a body without the right URL.
  if (sender === undefined || !isHookPath(path, sender)) {
    delivered({ status: 404, refusal: 'the token in the URL is wrong' });
    return refuse(request, response, 404, 'not found');
  }
  const refuseForNow = (why: string, cause?: unknown): Promise<void> => {
    // What went wrong here is not for the sender to know.
    const more = cause === undefined ? '' : `: ${toFailure(cause).message}`;
    delivered({ status: 503, refusal: `${why}${more}` });
    return refuse(request, response, 503, why);
  };
  const busy = options.refusal();
  if (busy !== undefined) return refuseForNow(busy);

  const limit = dialects[sender.dialect].maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
  const body = await readBody(request, limit, memory);
  if (body === undefined) return refuseForNow('too much at once');
  try {
    const receipt = await receive(toRequest(request, path, body), sender, options.verify);
    if (receipt.kind === 'answered') {
      const { failure, notice } = receipt;
      delivered({ status: receipt.response.status, refusal: failure?.message, notice });
      return await reply(request, response, receipt.response);
    }
    let results: IntakeResult[];
    try {
      results = await options.store(receipt.announcements, receipt.settleMs);
    } catch (error) {
      return await refuseForNow('it could not be stored', error);
    }
    const answer = respond(sender, receipt, results);
    delivered({ status: answer.response.status, results, ignored: answer.ignored });
    await reply(request, response, answer.response);
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
    for await (const part of chunksOf(request)) {
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

/** Without the end of the connection where the loop ends early. */
function chunksOf(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false });
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
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (status === 503) headers['retry-after'] = RETRY_AFTER_SECONDS;
  await reply(request, response, { status, headers, body: JSON.stringify({ error }) });
}

async function reply(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: HookResponse,
): Promise<void> {
  const isRead = await skipRest(request);
  send(response, status, body, isRead ? headers : { ...headers, connection: 'close' });
}

/**
 * Lets the sender end: one whose connection is closed while it sends does not read the answer.
 * @returns false where it goes on for too long
 */
async function skipRest(request: IncomingMessage): Promise<boolean> {
  let length = 0;
  for await (const part of chunksOf(request)) {
    length += part.length;
    if (length > MAX_SKIPPED_BYTES) return false;
  }
  return true;
}
