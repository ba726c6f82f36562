import type { TranshipError } from '../model/errors.ts';
import type { Digest, Target } from '../model/reference.ts';
import { createSlots, type Slots } from '../model/slots.ts';
import type { BlobPlaces } from '../pipeline/ports/blob-places.ts';
import type { Emit } from '../pipeline/ports/events.ts';
import type { RegistryClient } from '../registry/client.ts';
import { defaultRetry, type RetryPolicy } from '../registry/retry.ts';
import { type BareRepositories, createBareRepositories } from './bare-repositories.ts';
import { type BlobIndex, type BlobIndexOptions, createBlobIndex } from './blob-index.ts';
import type { CutOff } from './cut-off.ts';
import type { Gate } from './gate.ts';
import type { BlobMover } from './mover.ts';
import type { ResumableUploads } from './resumable-upload.ts';

/** What every copy of a process shares. */
export interface CopyContext {
  client: RegistryClient;
  index: BlobIndex;
  bare: BareRepositories;
  /** Bounds the blobs in flight (`--proc`). */
  blobSlots: Slots;
  /**
   * Bounds the uploads that are begun, so that some wait for a slot with everything ready, and not all that there are: a
   * registry keeps what is begun, also after a run that was killed.
   */
  uploadSlots: Slots;
  /**
   * Bounds the images whose blobs are brought: each blob that waits for its upload takes some 10 KB of memory, and sixteen
   * tags for six platforms of 40 layers have thousands.
   */
  imageSlots: Slots;
  /** For bringing a blob as a whole. All other calls are retried by the registry client. */
  retry: RetryPolicy;
  emit: Emit;
  signal: AbortSignal;
  /** Shut while other copies go first. */
  gate?: Pick<Gate, 'isShut' | 'onOpen'>;
  /** May move blobs in other threads. Without it all are moved in this one. */
  mover?: BlobMover;
  /** For workers whose time is bounded. Without it each blob is uploaded in one request. */
  resumable?: ResumableUploads;
}

/** What the copies of one process share; each brings its own signal. */
export function createCopyContext(options: {
  client: RegistryClient;
  ledger: BlobPlaces;
  blobsAtOnce: number;
  emit: Emit;
  flushEveryMs?: BlobIndexOptions['flushEveryMs'];
}): Omit<CopyContext, 'signal'> {
  const { client, ledger, blobsAtOnce, emit, flushEveryMs } = options;
  const index = createBlobIndex(ledger, { flushEveryMs });
  const bare = createBareRepositories();
  const slots = {
    blobSlots: createSlots(blobsAtOnce),
    uploadSlots: createSlots(2 * blobsAtOnce),
    imageSlots: createSlots(blobsAtOnce),
  };
  return { client, index, bare, ...slots, retry: defaultRetry, emit };
}

/** One destination of a task while it is being made equal. A destination with an error is left out of what follows. */
export interface Arrival {
  target: Target;
  error?: TranshipError;
  /**
   * What is believed of what its registry says: that it mounted a blob; only that it has one (HEAD); or nothing, so that
   * all blobs are uploaded. Less and less when it refuses a manifest because of blobs that it said to have.
   */
  trust: 'mounts' | 'heads' | 'nothing';
  /**
   * Epoch ms: what its repository was confirmed to have before this is not believed, but asked for: what was brought
   * there may be lost.
   */
  confirmedSince: number;
  /** Something was left out of this round of its copy because it was known to be there, without asking. */
  believed: boolean;
  /** Its repository had nothing when the task was planned: what this process did not bring is not there. */
  isEmpty: boolean;
  /** Blobs whose unfinished upload was lost: only when they are complete do they count in `bytes`. */
  restarted: Set<Digest>;
  /** Of the blobs that the worker stopped in the middle, with nothing kept, the one with the longest way to go. */
  cutOff?: CutOff;
  /** Bytes streamed to it, those of unfinished uploads included that can be continued; blobs mounted; blobs that it had. */
  bytes: number;
  mounted: number;
  present: number;
}

export function createArrival(
  target: Target,
  {
    isEmpty = false,
    confirmedSince = Number.NEGATIVE_INFINITY,
  }: Partial<Pick<Arrival, 'isEmpty' | 'confirmedSince'>> = {},
): Arrival {
  return {
    target,
    trust: 'mounts',
    confirmedSince,
    believed: false,
    isEmpty,
    restarted: new Set(),
    bytes: 0,
    mounted: 0,
    present: 0,
  };
}

/** Whether its repository is known to have a blob or child manifest, so that it need not be asked. */
export function isKnownAt(index: BlobIndex, { target, confirmedSince }: Arrival, digest: Digest): boolean {
  return index.isKnown(target, digest, confirmedSince);
}

/** A destination that a blob did not reach. */
export interface Missed {
  arrival: Arrival;
  error: TranshipError;
}

let lastStreamId = 0;

/** Names the way of a blob to its destinations in events. */
export function nextStreamId(): number {
  lastStreamId += 1;
  return lastStreamId;
}

export function isAlive(arrival: Arrival): boolean {
  return arrival.error === undefined;
}
