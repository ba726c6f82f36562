import type { Digest, Repository } from '../model/reference.ts';
import type { DialectName } from './dialect-name.ts';

/** A registry's push event. It is a hint: a tag is resolved at its registry before anything is copied. */
export interface Announcement {
  kind: 'push' | 'delete';
  repository: Repository;
  /** At least one of tag and digest is set. */
  tag?: string;
  /** Of the manifest or index. Not to be trusted: it may be old or forged. */
  digest?: Digest;
  /** Epoch ms at which it happened, where the sender says so. */
  at?: number;
  dialect: DialectName;
  /** The same for a delivery that is sent again. */
  deliveryId?: string;
  /** The account that pushed, and the client's `User-Agent`. */
  actor?: string;
  userAgent?: string;
}

/** Why an event, or one reference of it, leads to nothing. Stable: people count them. */
export type IgnoredReason =
  | 'by-digest' // a manifest without a tag: a part of an image, whose tag is announced by itself
  | 'cache-fill' // a proxy cache took an image from its upstream
  | 'deletion' // a tag was deleted, and no rule mirrors that
  | 'malformed' // a push event without a valid repository, tag and digest where they belong
  | 'no-tag' // names neither tag nor digest
  | 'not-a-push' // a pull, a scan, a failed push
  | 'not-allowed' // a registry or repository that its sender may not speak for
  | 'not-an-image' // a blob, a chart, a package of another kind
  | 'own-push' // made by this product
  | 'referrer' // a signature, attestation or referrers index by its tag, which no rule takes
  | 'test' // a ping of the sender
  | 'unknown-event' // a kind of event that is not known
  | 'unmatched'; // no rule takes it

export interface Ignored {
  reason: IgnoredReason;
  /** What it is about, for people: cleaned, at most 300 characters. */
  what?: string;
  /** What is wrong with it, where the reason alone does not say so. */
  why?: string;
  /** What to change so that it leads to a copy. */
  mend?: string;
}

const reasonTexts: Record<IgnoredReason, string> = {
  'by-digest': 'it was pushed by its digest; its tag is announced by itself',
  'cache-fill': 'a proxy cache took it from its upstream',
  deletion: 'no rule mirrors its deletion',
  malformed: 'it has no valid repository, tag or digest',
  'no-tag': 'it names neither a tag nor a digest',
  'not-a-push': 'it is not a push',
  'not-allowed': 'this sender may not speak for it',
  'not-an-image': 'it is not an image',
  'own-push': 'it is our own push, and no rule copies it on',
  referrer: 'it is a signature or an attestation that no rule takes',
  test: 'it is a test of the sender',
  'unknown-event': 'this kind of event is not known',
  unmatched: 'no rule takes it',
};

/** All of them. */
export const ignoredReasons = Object.keys(reasonTexts) as IgnoredReason[];

/** Why it was ignored, as a sentence without a subject in front: `it is not a push`. */
export function explainIgnored({ reason, why }: Ignored): string {
  return why ?? reasonTexts[reason];
}
