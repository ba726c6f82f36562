import type { Digest, Repository } from '../model/reference.ts';
import type { Ledger } from '../pipeline/ports/ledger.ts';

/**
 * What one process knows about which repository holds which blob (and child manifest), and which blobs it is uploading
 * now. Backed by the ledger, so that the next process knows it too. Shared by all tasks of a process.
 */
export interface BlobIndex {
  ledger: Ledger;
  now: () => number;
  /** Per registry and digest: the repositories that hold it. */
  places: Map<string, Set<string>>;
  /** Per registry and digest: settles when the upload under way ends, well or not. */
  uploads: Map<string, Promise<void>>;
  /** Found since the last flush, per repository. */
  news: Map<string, { repository: Repository; digests: Set<Digest> }>;
  /** Registries that did not mount when asked: their repositories are uploaded to side by side. */
  mountless: Set<string>;
}

/**
 * How long a place is believed without asking again. Registries collect unreferenced blobs after hours at the earliest
 * (ECR and Harbor: daily jobs), and refuse a manifest whose blobs are gone, upon which the index forgets.
 */
const BELIEVED_MS = 24 * 3_600_000;

/** Bounds the memory of a long-lived process; the oldest knowledge goes first. */
const MAX_PLACES = 100_000;

export function createBlobIndex(ledger: Ledger, now: () => number = Date.now): BlobIndex {
  return { ledger, now, places: new Map(), uploads: new Map(), news: new Map(), mountless: new Set() };
}

const keyOf = (registry: string, digest: Digest) => `${registry} ${digest}`;

/** Reads from the ledger what it knows of these digests at a registry. */
export async function primeBlobs(index: BlobIndex, registry: string, digests: Digest[]): Promise<void> {
  const unknown = digests.filter((digest) => !index.places.has(keyOf(registry, digest)));
  if (unknown.length === 0) return;
  for (const digest of unknown) remember(index, registry, digest);
  const places = await index.ledger.findBlobs(registry, unknown, index.now() - BELIEVED_MS);
  for (const place of places) remember(index, registry, place.digest, place.repository);
}

export function holdsBlob(index: BlobIndex, at: Repository, digest: Digest): boolean {
  return index.places.get(keyOf(at.registry, digest))?.has(at.repository) ?? false;
}

/** Another repository of the same registry that holds the blob. */
export function otherPlace(index: BlobIndex, at: Repository, digest: Digest): string | undefined {
  for (const repository of index.places.get(keyOf(at.registry, digest)) ?? []) {
    if (repository !== at.repository) return repository;
  }
  return undefined;
}

export function learnBlob(index: BlobIndex, at: Repository, digest: Digest): void {
  remember(index, at.registry, digest, at.repository);
  const key = `${at.registry}/${at.repository}`;
  const entry = index.news.get(key) ?? { repository: at, digests: new Set() };
  entry.digests.add(digest);
  index.news.set(key, entry);
}

/** The registry denies that it has them: nothing about this repository is believed any more. */
export async function forgetBlobs(index: BlobIndex, at: Repository, digests: Digest[]): Promise<void> {
  const news = index.news.get(`${at.registry}/${at.repository}`);
  for (const digest of digests) {
    index.places.get(keyOf(at.registry, digest))?.delete(at.repository);
    news?.digests.delete(digest);
  }
  await index.ledger.forgetBlobs(at, digests);
}

/** Writes what was learned to the ledger. */
export async function flushBlobs(index: BlobIndex): Promise<void> {
  const news = [...index.news.values()];
  index.news.clear();
  for (const { repository, digests } of news) {
    if (digests.size > 0) await index.ledger.writeBlobs(repository, [...digests], index.now());
  }
}

/** The upload of this blob to this registry that is under way in this process. */
export function uploadUnderWay(index: BlobIndex, registry: string, digest: Digest): Promise<void> | undefined {
  return index.uploads.get(keyOf(registry, digest));
}

/** Marks an upload as under way; call the result when it has ended, well or not. */
export function beginUpload(index: BlobIndex, registry: string, digest: Digest): () => void {
  const key = keyOf(registry, digest);
  const { promise, resolve } = Promise.withResolvers<void>();
  index.uploads.set(key, promise);
  return () => {
    if (index.uploads.get(key) === promise) index.uploads.delete(key);
    resolve();
  };
}

function remember(index: BlobIndex, registry: string, digest: Digest, repository?: string): void {
  const key = keyOf(registry, digest);
  let places = index.places.get(key);
  if (places === undefined) {
    places = new Set();
    index.places.set(key, places);
    if (index.places.size > MAX_PLACES) index.places.delete(index.places.keys().next().value as string);
  }
  if (repository !== undefined) places.add(repository);
}
