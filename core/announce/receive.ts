import { type Failure, TranshipError, toFailure, toTranshipError } from '../model/errors.ts';
import { waitFor } from '../registry/abort.ts';
import type { Announcement, Ignored } from './announcement.ts';
import type { Dialect, ParseResult, WebhookRequest } from './dialect.ts';
import { dialects } from './dialects.ts';
import { filterAnnouncements } from './filter.ts';
import type { WebhookSource } from './source.ts';
import { isHookPath, type VerifyDeps, verifySender } from './verify.ts';

/** Descriptions, labels and batches are some ten kilobytes in practice. */
export const DEFAULT_MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Of the second within which every request is to be answered; the rest is for storing. */
const VERIFY_WITHIN_MS = 800;

/** The answer to a request, and what came of it. The answer is given after the announcements are stored, not before. */
export interface Receipt {
  status: number;
  headers: Record<string, string>;
  body: string;
  announcements: Announcement[];
  ignored: Ignored[];
  /** How long the tags may still be unwritten; a task should wait that long. */
  settleMs: number;
  /** What a person must do, once: a subscription to confirm. */
  notice?: string;
  /** Why the request was not taken. */
  failure?: Failure;
}

/**
 * Takes a request of a configured sender: URL token, method, size, sender, body, allow-list, loops, in this order. Never
 * throws. It calls nothing but the key fetchers, and those never with a URL of an unverified host.
 *
 * Statuses: 200 for all that was understood, wanted or not, since senders repeat what they get an error for, or stop
 * sending; 404 for a wrong URL token; 405, 413, 401; 400 for what cannot be read, or 200 where the sender would then be stuck
 * with it; 503 where the sender could not be verified now. The table is in docs/webhooks.md.
 */
export async function receive(request: WebhookRequest, source: WebhookSource, deps: VerifyDeps): Promise<Receipt> {
  const dialect = dialects[source.dialect];
  try {
    return toReceipt(source, dialect, await read(request, source, dialect, deps));
  } catch (thrown) {
    const error = toTranshipError(thrown);
    return { ...refusal(error, dialect), failure: toFailure(error) };
  }
}

async function read(
  request: WebhookRequest,
  source: WebhookSource,
  dialect: Dialect,
  deps: VerifyDeps,
): Promise<ParseResult> {
  if (!isHookPath(request.path, source)) throw refused(404, 'the token in the URL is wrong');
  if (request.method === 'OPTIONS' && dialect.options !== undefined) return dialect.options(request);
  if (request.method !== 'POST') throw refused(405, 'push events are sent by POST');
  const maxBytes = dialect.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
  if (request.rawBody.length > maxBytes) {
    throw new TranshipError(`the body is longer than ${maxBytes} bytes`, {
      class: 'permanent',
      code: 'limit-exceeded',
    });
  }
  await inTime(verifySender(request, source, deps));
  return dialect.parse(request, source);
}

/** Senders take a late answer for none. A key whose fetching takes longer is there when they come again. */
async function inTime(verification: Promise<void>): Promise<void> {
  const late = new AbortController();
  const why = new TranshipError('the sender could not be verified in time', {
    class: 'transient',
    code: 'timeout',
    operation: 'verify push event',
  });
  const timer = setTimeout(() => late.abort(why), VERIFY_WITHIN_MS);
  try {
    await waitFor(verification, late.signal);
  } finally {
    clearTimeout(timer);
  }
}

function toReceipt(source: WebhookSource, dialect: Dialect, result: ParseResult): Receipt {
  const receipt = { status: 200, announcements: [], ignored: [], settleMs: dialect.settleMs ?? 0 };
  switch (result.kind) {
    case 'answer':
      return { ...receipt, headers: result.headers, body: result.body };
    case 'confirm':
      return {
        ...receipt,
        ...json({ accepted: 0, ignored: 0 }),
        notice: `${source.name} waits for a person to confirm the subscription: open ${result.url}`,
      };
    case 'events': {
      const { announcements, ignored: filtered } = filterAnnouncements(source, result.announcements);
      const ignored = [...result.ignored, ...filtered];
      const counts = { accepted: announcements.length, ignored: ignored.length };
      return { ...receipt, ...json(counts), announcements, ignored };
    }
  }
}

function refusal(error: TranshipError, dialect: Dialect): Receipt {
  const status = statusOf(error, dialect);
  const headers = {
    ...(status === 405 && { allow: dialect.options === undefined ? 'POST' : 'POST, OPTIONS' }),
    ...(status === 503 && { 'retry-after': '30' }),
  };
  const answer = json({ error: status === 404 ? 'not found' : error.code });
  return {
    status,
    body: answer.body,
    headers: { ...answer.headers, ...headers },
    announcements: [],
    ignored: [],
    settleMs: 0,
  };
}

function statusOf(error: TranshipError, { unreadableStatus }: Dialect): number {
  if (error.class === 'transient') return 503;
  if (error.code === 'unauthorized') return 401;
  if (error.code === 'limit-exceeded') return unreadableStatus === 200 ? 200 : 413;
  return error.site.status ?? unreadableStatus;
}

function refused(status: number, what: string): TranshipError {
  return new TranshipError(what, { class: 'permanent', code: 'refused', status, operation: 'receive push event' });
}

function json(value: unknown): { body: string; headers: Record<string, string> } {
  return { body: JSON.stringify(value), headers: { 'content-type': 'application/json' } };
}
