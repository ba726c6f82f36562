import type { Digest, Repository } from '../model/reference.ts';
import type { DialectName } from './dialect-name.ts';

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
