import { type Failure, TranshipError, toFailure, toTranshipError } from '../model/errors.ts';
import { waitFor } from '../registry/abort.ts';
import { type Announcement, explainIgnored, type Ignored, type IgnoredReason } from './announcement.ts';
import type { Dialect, ParseResult, WebhookRequest } from './dialect.ts';
import { dialects } from './dialects.ts';
import { filterAnnouncements } from './filter.ts';
import { type IntakeResult, ignoredOf, isStored } from './intake.ts';
import type { Sender } from './sender.ts';
import { isHookPath, type VerifyDeps, verifySender } from './verify.ts';

/** Descriptions, labels and batches are some ten kilobytes in practice. */
export const DEFAULT_MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Of the second within which every request is to be answered; the rest is for storing. */
const VERIFY_WITHIN_MS = 800;

/** Reasons that a response spells out, at most. */
const MAX_REASONS = 20;

/** The HTTP response to a push event. */
export interface HookResponse {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** What a request holds. */
export type Receipt =
  /** Push events. The response is given by {@link respond}, after the announcements are stored and not before. */
  | {
      kind: 'events';
      announcements: Announcement[];
      ignored: Ignored[];
      /** How long the tags may still be unwritten; a task should wait that long. */
      settleMs: number;
    }
  /** Nothing to store. */
  | {
      kind: 'answered';
      response: HookResponse;
      /** What a person must do, once: a subscription to confirm. */
      notice?: string;
      /** Why the request was not taken. */
      failure?: Failure;
    };

/**
 * Takes a request of a configured sender: URL token, method, size, sender, body, allow-list, loops, in this order.
 * Never throws. It calls nothing but the key fetchers, and those never with a URL of an unverified host.
 *
 * Statuses: 200 for all that was understood, wanted or not, since senders repeat what they get an error for, or stop
 * sending; 404 for a wrong URL token; 405, 413, 401; 400 for what cannot be read, or 200 where the sender would then be
 * stuck with it; 503 where the sender could not be verified now. The table is in docs/webhooks.md.
 */
export async function receive(request: WebhookRequest, sender: Sender, deps: VerifyDeps): Promise<Receipt> {
  const dialect = dialects[sender.dialect];
  try {
    return toReceipt(sender, dialect, await read(request, sender, dialect, deps));
  } catch (thrown) {
    const error = toTranshipError(thrown);
    return { kind: 'answered', response: refusal(error, dialect), failure: toFailure(error) };
  }
}

/** Mistakes in an event itself, which whoever wrote it can correct. */
const mistakes: ReadonlySet<IgnoredReason> = new Set(['malformed', 'no-tag', 'not-allowed', 'unknown-event']);

/**
 * The response to push events whose work is stored, and all that was ignored of them. `accepted` counts the events
 * whose work is stored, their own or that of another event of the same push.
 */
export function respond(
  sender: Sender,
  receipt: Receipt & { kind: 'events' },
  results: readonly IntakeResult[],
): { response: HookResponse; ignored: Ignored[] } {
  const ignored = [...receipt.ignored, ...ignoredOf(results)];
  const accepted = results.filter(({ fate }) => isStored(fate)).length;
  const counts = { accepted, ignored: ignored.length };
  // Registries do not read it, and many keep it in a small log.
  if (dialects[sender.dialect].isScript !== true || ignored.length === 0) {
    return { response: json(200, counts), ignored };
  }
  const reasons = ignored.slice(0, MAX_REASONS).map(toReason);
  const mistake = ignored.find(({ reason }) => mistakes.has(reason));
  if (mistake === undefined) return { response: json(200, { ...counts, reasons }), ignored };
  return { response: json(400, { error: mistake.reason, ...counts, reasons }), ignored };
}

function toReason(ignored: Ignored): Record<string, unknown> {
  const { reason, what, mend } = ignored;
  return { reason, what, why: explainIgnored(ignored), mend };
}

async function read(request: WebhookRequest, sender: Sender, dialect: Dialect, deps: VerifyDeps): Promise<ParseResult> {
  if (!isHookPath(request.path, sender)) throw refused('the token in the URL is wrong', 'not-found');
  if (request.method === 'OPTIONS' && dialect.options !== undefined) return dialect.options(request);
  if (request.method !== 'POST') throw refused('push events are sent by POST', 'unsupported');
  const maxBytes = dialect.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
  if (request.rawBody.length > maxBytes) {
    throw refused(`the body is longer than ${maxBytes} bytes`, 'limit-exceeded');
  }
  await inTime(verifySender(request, sender, deps));
  return dialect.parse(request, sender);
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

function toReceipt(sender: Sender, dialect: Dialect, result: ParseResult): Receipt {
  switch (result.kind) {
    case 'answer':
      return { kind: 'answered', response: { status: 200, headers: result.headers, body: result.body } };
    case 'confirm':
      return {
        kind: 'answered',
        response: json(200, { accepted: 0, ignored: 0 }),
        notice: `${sender.name} waits for a person to confirm the subscription: open ${result.url}`,
      };
    case 'events': {
      const { announcements, ignored } = filterAnnouncements(sender, result.announcements);
      return {
        kind: 'events',
        announcements,
        ignored: [...result.ignored, ...ignored],
        settleMs: dialect.settleMs ?? 0,
      };
    }
  }
}

function refusal(error: TranshipError, dialect: Dialect): HookResponse {
  const status = statusOf(error, dialect);
  if (status === 404) return json(404, { error: 'not found' });
  // What went wrong here, and why a secret does not fit, is not for the sender to know.
  const isPrivate = status === 503 || status === 401;
  const response = json(status, { error: error.code, reason: isPrivate ? undefined : error.message });
  if (status === 405) response.headers.allow = dialect.options === undefined ? 'POST' : 'POST, OPTIONS';
  if (status === 503) response.headers['retry-after'] = '30';
  return response;
}

function statusOf(error: TranshipError, { unreadableStatus }: Dialect): number {
  if (error.class === 'transient') return 503;
  switch (error.code) {
    case 'unauthorized':
      return 401;
    case 'not-found':
      return 404;
    case 'unsupported':
      return 405;
    case 'limit-exceeded':
      return unreadableStatus === 200 ? 200 : 413;
    default:
      return unreadableStatus;
  }
}

function refused(what: string, code: 'not-found' | 'unsupported' | 'limit-exceeded'): TranshipError {
  return new TranshipError(what, { class: 'permanent', code, operation: 'receive push event' });
}

function json(status: number, value: unknown): HookResponse {
  return { status, body: JSON.stringify(value), headers: { 'content-type': 'application/json' } };
}
