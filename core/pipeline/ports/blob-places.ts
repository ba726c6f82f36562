import type { Digest, Repository } from '../../model/reference.ts';

/** A repository of the registry known to hold a blob. */
export interface BlobPlace {
  digest: Digest;
  repository: string;
  /** Epoch ms of the last confirmation. */
  at: number;
}

/** Where blobs are known to be: a hint that saves requests, so it may be stale, incomplete or lost. */
export interface BlobPlaces {
  /** Known places of these blobs at a registry, confirmed after `since` (epoch ms). */
  findBlobs(registry: string, digests: Digest[], since: number): Promise<BlobPlace[]>;
  writeBlobs(repository: Repository, digests: Digest[], at: number): Promise<void>;
  forgetBlobs(repository: Repository, digests: Digest[]): Promise<void>;
}
