import type { Digest, Repository } from '../model/reference.ts';
import type { BlobPlaces } from '../pipeline/ports/blob-places.ts';
import { type Claim, createClaims } from './claims.ts';
import { createRecent } from './recent.ts';

/**
 * What one process knows about which repositories hold which blobs and child manifests, and which of them it is copying
 * now. All copies of a process share it. The ledger keeps the places for the next process.
 */
export interface BlobIndex {
  /** Reads what the ledger knows of these blobs at a registry. Each blob is read once, however many copies ask. */
  load(registry: string, digests: Digest[]): Promise<void>;
  /** @param since epoch ms: what was confirmed before it does not count */
  isKnown(at: Repository, digest: Digest, since?: number): boolean;
  /** Another repository of the same registry that holds the blob, so that it can be mounted from there. */
  mountSource(at: Repository, digest: Digest): string | undefined;
  add(at: Repository, digest: Digest): void;
  /** For blobs that a registry denied having. */
  forget(at: Repository, digests: Digest[]): Promise<void>;
  /** Writes what was added since the last flush to the ledger. To be called whenever a task ends. */
  flush(): Promise<void>;
  /** The same, also where a flush was a short while ago. */
  flushAll(): Promise<void>;

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
 * How long a place is believed without asking again. Registries keep what no tag leads to for an hour at least (zot:
 * `gcDelay`; Quay: `PUSH_TEMP_TAG_EXPIRATION_SEC`), and what a tag leads to as long as the tag. So a tag that is gone
 * ends the belief in its repository (`Arrival.confirmedSince`), and one that refuses a manifest for a missing blob is
 * believed at once.
 */
const BELIEVED_MS = 24 * 3_600_000;

/** Bounds the memory of a long-lived process, to about 50 MB: so many blobs used last are known, or twice as many. */
const MOST_BLOBS = 25_000;
/** Repositories remembered for one blob, the newest. */
const MOST_PLACES = 1000;

/** What is known of one blob or child manifest at one registry. */
interface Known {
  /** The last reading of the ledger, and when it began, epoch ms. */
  reading: { done: Promise<void>; at: number } | undefined;
  /** Repositories that hold it, newest last, and when each was last confirmed, epoch ms. */
  places: Map<string, number>;
}

export interface BlobIndexOptions {
  /** Epoch ms. */
  now?: () => number;
  /**
   * Where a process ends only after `flushAll`, or loses nothing that is needed, the ledger need not be written at the end
   * of each task: one flush in so many ms writes the places of many tasks, most of them on the same pages. Default 0.
   */
  flushEveryMs?: number;
}

export function createBlobIndex(ledger: BlobPlaces, options: BlobIndexOptions = {}): BlobIndex {
  const { now = Date.now, flushEveryMs = 0 } = options;
  /** By registry and digest. */
  const blobs = createRecent<Known>(MOST_BLOBS);
  const claims = createClaims();
  const mountRefusers = new Set<string>();
  /** What `flush` has to write, per repository. */
  let unwritten = new Map<string, { repository: Repository; digests: Set<Digest> }>();
  /** The flush that will write `unwritten`, while it waits for its turn: tasks that end meanwhile share it. */
  let nextFlush: Promise<void> | undefined;
  let lastFlushAt = Number.NEGATIVE_INFINITY;
  /** The ledger is written in the order of the calls, so that a blob that was forgotten does not come back. */
  let lastWrite: Promise<unknown> = Promise.resolve();

  function knownOf(registry: string, digest: Digest): Known {
    const key = blobKey(registry, digest);
    let known = blobs.get(key);
    if (known === undefined) {
      known = { reading: undefined, places: new Map() };
      blobs.set(key, known);
    }
    return known;
  }

  function remember(at: Repository, digest: Digest, confirmedAt: number): void {
    const { places } = knownOf(at.registry, digest);
    places.delete(at.repository);
    places.set(at.repository, confirmedAt);
    if (places.size <= MOST_PLACES) return;
    const [oldest = ''] = places.keys();
    places.delete(oldest);
  }

  const isBelieved = (confirmedAt: number) => confirmedAt + BELIEVED_MS >= now();

  function isKnown({ registry, repository }: Repository, digest: Digest, since = Number.NEGATIVE_INFINITY): boolean {
    const confirmedAt = blobs.get(blobKey(registry, digest))?.places.get(repository);
    return confirmedAt !== undefined && confirmedAt >= since && isBelieved(confirmedAt);
  }

  async function read(registry: string, digests: Digest[]): Promise<void> {
    for (const { digest, repository, at } of await ledger.findBlobs(registry, digests, now() - BELIEVED_MS)) {
      remember({ registry, repository }, digest, at);
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

  async function flushAll(): Promise<void> {
    lastFlushAt = now();
    const taken = unwritten;
    nextFlush ??= afterLastWrite(async () => {
      if (taken === unwritten) beginUnwritten();
      const at = now();
      const writes = [...taken.values()]
        .filter(({ digests }) => digests.size > 0)
        .map(({ repository, digests }) => ledger.writeBlobs(repository, [...digests].sort(), at));
      await Promise.all(writes);
    });
    await nextFlush;
  }

  return {
    async load(registry, digests) {
      const since = now() - BELIEVED_MS;
      const underWay = new Set<Promise<void>>();
      const fresh = new Map<Digest, Known>();
      for (const digest of digests) {
        const known = knownOf(registry, digest);
        if (known.reading !== undefined && known.reading.at > since) underWay.add(known.reading.done);
        else fresh.set(digest, known);
      }
      if (fresh.size > 0) {
        const reading = { done: read(registry, [...fresh.keys()]), at: now() };
        for (const known of fresh.values()) known.reading = reading;
        // One that failed is read again by whoever asks next.
        reading.done.catch(() => {
          for (const known of fresh.values()) known.reading = undefined;
        });
        underWay.add(reading.done);
      }
      await Promise.all(underWay);
    },

    isKnown,

    mountSource({ registry, repository: asking }, digest) {
      let newest: string | undefined;
      const places = blobs.get(blobKey(registry, digest))?.places ?? [];
      for (const [repository, at] of places) if (repository !== asking && isBelieved(at)) newest = repository;
      return newest;
    },

    add(at, digest) {
      remember(at, digest, now());
      const key = `${at.registry}/${at.repository}`;
      let entry = unwritten.get(key);
      if (entry === undefined) {
        entry = { repository: at, digests: new Set() };
        unwritten.set(key, entry);
      }
      entry.digests.add(digest);
    },

    async forget(at, digests) {
      // A flush that waits writes what was added before this, and no more.
      if (nextFlush !== undefined) beginUnwritten();
      const entry = unwritten.get(`${at.registry}/${at.repository}`);
      for (const digest of digests) {
        blobs.get(blobKey(at.registry, digest))?.places.delete(at.repository);
        entry?.digests.delete(digest);
      }
      await afterLastWrite(() => ledger.forgetBlobs(at, digests));
    },

    async flush() {
      const age = now() - lastFlushAt;
      if (age < 0 || age >= flushEveryMs) await flushAll();
    },

    flushAll,

    claimUpload(at, digest) {
      const own = `blob ${placeKey(at, digest)}`;
      const shared = `blob ${blobKey(at.registry, digest)}`;
      return claims.take(mountRefusers.has(at.registry) ? [own] : [own, shared]);
    },

    claimManifest: (places, digest) => claims.take(places.map((at) => `manifest ${placeKey(at, digest)}`)),

    noteRefusedMount(registry) {
      mountRefusers.add(registry);
    },

    hasRefusedMount: (registry) => mountRefusers.has(registry),
  };
}

function blobKey(registry: string, digest: Digest): string {
  return `${registry} ${digest}`;
}

function placeKey({ registry, repository }: Repository, digest: Digest): string {
  return `${registry}/${repository} ${digest}`;
}
