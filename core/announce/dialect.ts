import type { Announcement, Ignored } from './announcement.ts';
import type { Sender } from './sender.ts';

/** An HTTP request as it came. */
export interface WebhookRequest {
  method: string;
  /** Without the query. */
  path: string;
  /** By lower-case name. */
  headers: Record<string, string | undefined>;
  /** The body's bytes as they came: signatures are over them. */
  rawBody: Buffer;
}

export type ParseResult =
  | { kind: 'events'; announcements: Announcement[]; ignored: Ignored[] }
  /** A handshake: the sender wants exactly this answer. */
  | { kind: 'answer'; body: string; headers: Record<string, string> }
  /** A subscription that a person must confirm by opening the URL. It is shown, never fetched. */
  | { kind: 'confirm'; url: string };

/** Header and form in which a sender signs the raw body: lower-case hex, behind the prefix where it has one. */
export interface HmacForm {
  algorithm: 'sha256' | 'sha1';
  /** The first that is there counts. */
  headers: readonly string[];
  prefix?: { text: string; optional: boolean };
}

/** One sender's way to announce a push. */
export interface Dialect {
  /**
   * @throws TranshipError permanent, `protocol`, where the body is not one of this sender's at all; nothing else. What
   *   is one, but not a push of an image, is ignored: most senders take an error for a reason to send again.
   */
  parse(request: WebhookRequest, sender: Sender): ParseResult;
  hmac?: HmacForm;
  /** Answers a handshake made by `OPTIONS` on a URL whose token is right. */
  options?(request: WebhookRequest): ParseResult;
  /** Whoever wrote the event reads the answer: a mistake in it is answered with 400 and its reason. */
  isScript?: boolean;
  /** It is known to send an event once only: what comes while nobody listens is lost. */
  sendsOnce?: boolean;
  /**
   * Status for a body that can never be read: 200 where any other would make the sender repeat it, or give up on us.
   */
  unreadableStatus: 200 | 400;
  /** Longest body, where 4 MiB are not enough. */
  maxBodyBytes?: number;
  /** How long the event may be ahead of the tag it tells of. */
  settleMs?: number;
  /** The registry that the sender is, where it can only be one. */
  registry?: string;
}
