import type { Digest, Repository, Target } from '../../model/reference.ts';

/** What was seen of the artifacts that refer to an image, and came with it. */
export interface ReferrersSeen {
  /** Epoch ms at which the source was asked. */
  at: number;
  /** Another text when anything was added, removed or changed; `''` where there were none. */
  mark: string;
  /**
   * The manifests that the image leads to, its own left out: artifacts may refer to each of them. Undefined where nobody
   * read the image, since its source had nothing that refers to anything.
   */
  manifests?: Digest[];
}

/** What is known to be at one destination reference. */
export interface SyncRecord {
  destination: Target;
  source: Target;
  /** Digest of the source's manifest that the destination was made from. */
  sourceDigest: Digest;
  /**
   * Digest at the destination; another one only after a platform subset; undefined where the filter left nothing to
   * copy.
   */
  destinationDigest: Digest | undefined;
  /** Canonical text of the platform filter, `''` for none: a record made under another filter does not count. */
  platforms: string;
  /** Epoch ms at which the destination confirmed the digest. */
  at: number;
  /**
   * `copied` by us, `found` there equal, `empty`: no platform of the source fits the filter, `gone`: what the record
   * says was seen not to be there any more, not as a whole at least, or `deleted` by us: the digests are what was there. A record that is `gone`
   * or `deleted` keeps no tag from being copied.
   */
  how: 'copied' | 'found' | 'empty' | 'gone' | 'deleted';
  /** Undefined where nobody looked: the rule wants none, or somebody else brought the image. */
  referrers?: ReferrersSeen;
}

/** Whether a record says what its destination holds now. */
export function isStanding(record: SyncRecord): boolean {
  return record.how !== 'gone' && record.how !== 'deleted';
}

/** What is known of destinations. Every write is a single-item, idempotent one. */
export interface SyncRecords {
  /**
   * Sync records of one destination repository, in pages, ordered by tag (then digest), compared as UTF-8 bytes.
   * `from` and `to` bound the tags, inclusive.
   */
  readRepository(repository: Repository, range?: { from?: string; to?: string }): AsyncIterable<SyncRecord[]>;
  read(destination: Target): Promise<SyncRecord | undefined>;
  /** Replaces the record of its destination unless a newer one (`at`) is there. Any number may be written at once. */
  write(record: SyncRecord): Promise<void>;
}
