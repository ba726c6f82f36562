import type { Digest, Repository } from '../reference.ts';
import type { WebhookSource } from './source.ts';

/** The senders that are understood. `harbor`'s format is also Tencent's and Huawei's, `distribution`'s is GitLab's. */
export const dialectNames = [
  'acr',
  'acr-event-grid',
  'alibaba',
  'artifactory',
  'distribution',
  'docker-hub',
  'ecr',
  'ghcr',
  'gitea',
  'gitlab',
  'google',
  'harbor',
  'huawei',
  'nexus',
  'plain',
  'quay',
  'tencent',
  'zot',
] as const;
export type DialectName = (typeof dialectNames)[number];

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

/** A registry's push event. A hint, not the truth: a tag is resolved at its registry before anything is copied. */
export interface Announcement {
  kind: 'push' | 'delete';
  repository: Repository;
  /** Of tag and digest at least one is there. */
  tag?: string;
  /** Of the manifest or index. Not to be trusted: it may be old or forged. */
  digest?: Digest;
  /** Epoch ms at which it happened, where the sender says so. */
  at?: number;
  sender: DialectName;
  /** The same for a delivery that is sent again. */
  deliveryId?: string;
  /** Who pushed: a user's name, and the client's `User-Agent`. */
  actor?: string;
  userAgent?: string;
}

/** Why an event, or one reference of it, leads to nothing. Stable: people count them. */
export type IgnoredReason =
  | 'cache-fill' // a proxy cache took an image from its upstream
  | 'malformed' // a push event without a valid repository, tag and digest where they belong
  | 'no-tag' // names neither tag nor digest
  | 'not-a-push' // a pull, a scan, a failed push
  | 'not-allowed' // a registry or repository that its sender may not speak for
  | 'not-an-image' // a blob, a chart, a package of another kind
  | 'own-push' // made by this product
  | 'referrer' // a signature, attestation or referrers index by its tag
  | 'test' // a ping of the sender
  | 'too-many' // more events in one request than are taken
  | 'unknown-event'; // a kind of event that is not known

export interface Ignored {
  reason: IgnoredReason;
  /** What it is about, for people: cleaned, at most 300 characters. */
  what?: string;
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
   * @throws TranshipError permanent, `protocol`, where the body is not one of this sender's at all; nothing else. What is one,
   *   but not a push of an image, is ignored: most senders take an error for a reason to send again.
   */
  parse(request: WebhookRequest, source: WebhookSource): ParseResult;
  hmac?: HmacForm;
  /** Answers a handshake made by `OPTIONS` on a URL whose token is right. */
  options?(request: WebhookRequest): ParseResult;
  /** Status for a body that can never be read: 200 where any other would make the sender repeat it, or give up on us. */
  unreadableStatus: 200 | 400;
  /** Longest body, where 4 MiB are not enough. */
  maxBodyBytes?: number;
  /** How long the event may be ahead of the tag it tells of. */
  settleMs?: number;
  /** The registry that the sender is, where it can only be one. */
  registry?: string;
}
