import { LRUCache } from 'lru-cache';
import type { Digest, Repository } from '../model/reference.ts';
import type { BlobPlaces } from '../pipeline/ports/blob-places.ts';
import { type Claim, createClaims } from './claims.ts';

/**
 * What one process knows about which repositories hold which blobs and child manifests, and which of them it is copying
 * now. All copies of a process share it. The ledger keeps the places for the next process.
 */
export interface BlobIndex {
  /** Reads what the ledger knows of these blobs at a registry. Each blob is read once, however many copies ask. */
  load(registry: string, digests: Digest[]): Promise<void>;
  isKnown(at: Repository, digest: Digest): boolean;
  /** Another repository of the same registry that holds the blob, so that it can be mounted from there. */
  mountSource(at: Repository, digest: Digest): string | undefined;
  add(at: Repository, digest: Digest): void;
  /** For blobs that a registry denied having. */
  forget(at: Repository, digests: Digest[]): Promise<void>;
  /** Writes what was added since the last flush to the ledger. */
  flush(): Promise<void>;

  /**
   * The right to upload a blob to a repository. One upload of a blob to a registry is under way at a time, so that
   * other repositories can mount it afterwards; where the registry has refused a mount, one for each repository.
   */
  claimUpload(at: Repository, digest: Digest): Claim;
  /** The right to copy a child manifest, with all that it names, to these repositories. */
  claimManifest(places: Repository[], digest: Digest): Claim;
  /** The registry refused a mount: uploads to its other repositories need not wait to mount from one under way. */
  noteRefusedMount(registry: string): void;
  hasRefusedMount(registry: string): boolean;
}

/**
 * How long a place is believed without asking again. Registries collect unreferenced blobs after hours at the earliest
 * (ECR and Harbor: daily jobs). One that refuses a manifest for a missing blob is believed at once.
 */
const BELIEVED_MS = 24 * 3_600_000;

/** Bounds the memory of a long-lived process, to about 50 MB. What was used least recently goes first. */
const MAX_ENTRIES = 50_000;

/** Repositories remembered for mounts of one blob. One would do, but it may be the one that asks. */
const MOUNT_SOURCES = 4;

/** @param now epoch ms */
export function createBlobIndex(ledger: BlobPlaces, now: () => number = Date.now): BlobIndex {
  const bounds = { maxSize: MAX_ENTRIES, sizeCalculation: () => 1, ttl: BELIEVED_MS, ttlResolution: 0, perf: { now } };
  const known = new LRUCache<string, true>(bounds);
  /** Per registry and digest, newest last. */
  const mountSources = new LRUCache<string, readonly string[]>(bounds);
  const loads = new LRUCache<string, Promise<void>>(bounds);
  const claims = createClaims();
  const mountRefusers = new Set<string>();
  /** What `flush` has to write, per repository. */
  let unwritten = new Map<string, { repository: Repository; digests: Set<Digest> }>();
  /** The flush that will write `unwritten`, while it waits for its turn: tasks that end meanwhile share it. */
  let nextFlush: Promise<void> | undefined;
  /** The ledger is written in the order of the calls, so that a blob that was forgotten does not come back. */
  let lastWrite: Promise<unknown> = Promise.resolve();

  function remember(at: Repository, digest: Digest, ttl?: number): void {
    known.set(placeKey(at, digest), true, { ttl });
    const key = registryKey(at.registry, digest);
    const others = (mountSources.get(key) ?? []).filter((repository) => repository !== at.repository);
    mountSources.set(key, [...others.slice(1 - MOUNT_SOURCES), at.repository], { ttl });
  }

  function isKnown(at: Repository, digest: Digest): boolean {
    return known.get(placeKey(at, digest)) ?? false;
  }

  async function read(registry: string, digests: Digest[]): Promise<void> {
    const since = now() - BELIEVED_MS;
    for (const { digest, repository, at } of await ledger.findBlobs(registry, digests, since)) {
      remember({ registry, repository }, digest, Math.max(1, at - since));
    }
  }

  function beginUnwritten(): void {
    unwritten = new Map();
    nextFlush = undefined;
  }

  function afterLastWrite(write: () => Promise<void>): Promise<void> {
    const result = lastWrite.then(write);
    lastWrite = result.catch(() => {});
    return result;
  }

  return {
    async load(registry, digests) {
      const fresh = [...new Set(digests)].filter((digest) => !loads.has(registryKey(registry, digest)));
      if (fresh.length > 0) {
        const loading = read(registry, fresh);
        const keys = fresh.map((digest) => registryKey(registry, digest));
        for (const key of keys) loads.set(key, loading);
        // One that failed is read again by whoever asks next.
        loading.catch(() => {
          for (const key of keys) loads.delete(key);
        });
      }
      await Promise.all(new Set(digests.map((digest) => loads.get(registryKey(registry, digest)))));
    },

    isKnown,

    mountSource: ({ registry, repository: asking }, digest) =>
      mountSources
        .get(registryKey(registry, digest))
        ?.findLast((repository) => repository !== asking && isKnown({ registry, repository }, digest)),

    add(at, digest) {
      remember(at, digest);
      const key = `${at.registry}/${at.repository}`;
      const entry = unwritten.get(key) ?? { repository: at, digests: new Set() };
      entry.digests.add(digest);
      unwritten.set(key, entry);
    },

    async forget(at, digests) {
      // A flush that waits writes what was added before this, and no more.
      if (nextFlush !== undefined) beginUnwritten();
      const entry = unwritten.get(`${at.registry}/${at.repository}`);
      for (const digest of digests) {
        known.delete(placeKey(at, digest));
        entry?.digests.delete(digest);
      }
      await afterLastWrite(() => ledger.forgetBlobs(at, digests));
    },

    async flush() {
      const taken = unwritten;
      nextFlush ??= afterLastWrite(async () => {
        if (taken === unwritten) beginUnwritten();
        const at = now();
        const writes = [...taken.values()]
          .filter(({ digests }) => digests.size > 0)
          .map(({ repository, digests }) => ledger.writeBlobs(repository, [...digests], at));
        await Promise.all(writes);
      });
      await nextFlush;
    },

    claimUpload(at, digest) {
      const own = `blob ${placeKey(at, digest)}`;
      const shared = `blob ${registryKey(at.registry, digest)}`;
      return claims.take(mountRefusers.has(at.registry) ? [own] : [own, shared]);
    },

    claimManifest: (places, digest) => claims.take(places.map((at) => `manifest ${placeKey(at, digest)}`)),

    noteRefusedMount(registry) {
      mountRefusers.add(registry);
    },

    hasRefusedMount: (registry) => mountRefusers.has(registry),
  };
}

function registryKey(registry: string, digest: Digest): string {
  return `${registry} ${digest}`;
}

function placeKey({ registry, repository }: Repository, digest: Digest): string {
  return `${registry}/${repository} ${digest}`;
}
