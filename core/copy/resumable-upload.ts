import { hasCode, TranshipError } from '../model/errors.ts';
import type { Descriptor } from '../model/manifest.ts';
import { type Digest, formatRepository, type Repository } from '../model/reference.ts';
import type { Slots } from '../model/slots.ts';
import { type HeldLease, holdLease } from '../pipeline/held-lease.ts';
import type { Leases } from '../pipeline/ports/leases.ts';
import type { UploadProgressStore } from '../pipeline/ports/upload-progress.ts';
import {
  type ChunkedUpload,
  type ChunkedUploadOptions,
  chunkedUpload,
  mayTakeChunks,
  resumeChunkedUpload,
} from '../registry/chunked-upload.ts';
import type { RegistryClient } from '../registry/client.ts';
import { cancelUpload, type UploadSession } from '../registry/uploads.ts';
import { readBytes } from './byte-reader.ts';
import type { Arrival, CopyContext } from './context.ts';
import type { HashState, ResumableHash, Upload } from './upload.ts';

/** How a worker whose time is bounded brings blobs that may take longer: in chunks, which the next worker goes on with. */
export interface ResumableUploads {
  /** Blobs of so many bytes and more. */
  fromBytes: number;
  /** Length of a chunk in bytes. An upload, of one blob to one destination, takes the memory of two. */
  chunkBytes: number;
  /** Bounds the uploads, by the memory that there is for their chunks. */
  chunkSlots: Slots;
  ledger: Leases & UploadProgressStore;
  /** Names this work in leases. */
  owner: string;
  /**
   * Breaks off chunks that are under way. Fires some time after the copy's signal: CNCF distribution loses an upload of
   * which a chunk breaks off ("upload resumed at wrong offset"), so they are to end well.
   */
  chunkSignal: AbortSignal;
  now: () => number;
  /** Another way to upload in chunks, for the registries that it takes. */
  transport?: ChunkTransport;
  startHash: (digest: Digest, options: { everyBytes: number; from?: HashState }) => Promise<ResumableHash>;
}

type SizedBlob = Descriptor & { size: number };

/** A way to upload a blob in chunks that is not the registry's own API. */
export interface ChunkTransport {
  /** Whether it is for this repository. */
  takes(repository: Repository): Promise<boolean>;
  begin(repository: Repository, size: number, options: ChunkedUploadOptions): Promise<ChunkedUpload>;
  /** Undefined where the upload is known to be lost. */
  resume(
    repository: Repository,
    size: number,
    kept: { location: string; offset: number },
    options: ChunkedUploadOptions,
  ): Promise<ChunkedUpload | undefined>;
}

/** Chunks end at multiples of this part of their length, where the state of the hash is noted. */
const STEPS = 8;

/** How often the state of the hash is noted, in bytes. */
export function hashStep({ chunkBytes }: Pick<ResumableUploads, 'chunkBytes'>): number {
  return Math.max(1, Math.floor(chunkBytes / STEPS));
}

/** Failures after which the registry still has what was uploaded. */
const keepsUpload = [
  'aborted',
  'lease-lost',
  'network',
  'server-error',
  'stalled',
  'throttled',
  'timeout',
  'unauthorized',
] as const;

/** Whether a repository may take a blob in chunks, as far as is known. */
export async function takesChunks(
  client: RegistryClient,
  resumable: ResumableUploads,
  target: Repository,
): Promise<boolean> {
  return mayTakeChunks(client, target.registry) || (await transportFor(resumable, target)) !== undefined;
}

async function transportFor({ transport }: ResumableUploads, target: Repository): Promise<ChunkTransport | undefined> {
  return (await transport?.takes(target)) ? transport : undefined;
}

/**
 * Opens the upload of a blob to an arrival that can be continued by another worker: the one that an earlier worker has
 * left, or a new one. One worker at a time brings a blob to a repository, by a lease.
 *
 * @param begin begins a new one; gives undefined where the repository has the blob
 * @throws TranshipError `lease-held`, transient, while another worker brings it
 */
export async function openResumable(
  context: CopyContext,
  resumable: ResumableUploads,
  blob: SizedBlob,
  arrival: Arrival,
  begin: () => Promise<UploadSession | undefined>,
): Promise<Upload | undefined> {
  const { target } = arrival;
  const key = `upload ${formatRepository(target)}@${blob.digest}`;
  const lease = await holdLease(resumable.ledger, key, resumable.owner);
  if (lease === undefined) {
    throw new TranshipError(`another worker is uploading ${blob.digest}`, {
      class: 'transient',
      code: 'lease-held',
      registry: target.registry,
      repository: target.repository,
      operation: 'put blob',
    });
  }
  try {
    const upload =
      (await resume(context, resumable, blob, arrival, lease)) ??
      (await start(context, resumable, blob, arrival, lease, begin));
    if (upload === undefined) await lease.release();
    return upload;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

async function start(
  { client, signal }: CopyContext,
  resumable: ResumableUploads,
  blob: SizedBlob,
  arrival: Arrival,
  lease: HeldLease,
  begin: () => Promise<UploadSession | undefined>,
): Promise<Upload | undefined> {
  const session = await begin();
  if (session === undefined) return undefined;
  const options = { digest: blob.digest, signal, chunkSignal: resumable.chunkSignal };
  const transport = await transportFor(resumable, arrival.target);
  if (transport !== undefined) void cancelUpload(client, session);
  const chunks =
    (await transport?.begin(arrival.target, blob.size, options)) ?? chunkedUpload(client, session, options);
  return inChunks(resumable, blob, { arrival, chunks, lease });
}

async function resume(
  { client, signal }: CopyContext,
  resumable: ResumableUploads,
  blob: SizedBlob,
  arrival: Arrival,
  lease: HeldLease,
): Promise<Upload | undefined> {
  const { target } = arrival;
  const { digest, size } = blob;
  const { chunkSignal } = resumable;
  const kept = await resumable.ledger.readUpload(target, digest);
  if (kept === undefined) return undefined;
  const options = { digest, signal, chunkSignal };
  const transport = await transportFor(resumable, target);
  const resuming = transport?.resume(target, size, kept, options) ?? resumeChunkedUpload(client, target, kept, options);
  const chunks = await resuming.catch((error: unknown) => {
    // What was kept leads to where it may not: it was changed, or the registry moved.
    if (hasCode(error, 'unsafe', 'protocol')) return undefined;
    throw error;
  });
  if (chunks !== undefined && chunks.offset() > 0 && chunks.offset() <= size) {
    const hashState = { offset: kept.offset, state: kept.hashState };
    return inChunks(resumable, blob, { arrival, chunks, lease, hashState });
  }
  void chunks?.cancel();
  await lose(resumable, blob, arrival);
  return undefined;
}

/** What was uploaded of the blob is lost. What replaces it is no progress. */
async function lose({ ledger }: ResumableUploads, { digest }: SizedBlob, arrival: Arrival): Promise<void> {
  arrival.restarted.add(digest);
  await ledger.forgetUpload(arrival.target, digest);
}

function inChunks(
  resumable: ResumableUploads,
  blob: SizedBlob,
  given: { arrival: Arrival; chunks: ChunkedUpload; lease: HeldLease; hashState?: HashState },
): Upload {
  const { ledger, now } = resumable;
  const { digest, size } = blob;
  const { arrival, chunks, lease, hashState } = given;
  let sent = 0;

  /** Another worker goes on from here. Where this fails, it goes on from the chunk before. */
  async function keep(hash: ResumableHash): Promise<void> {
    const known = hash.stateAt(chunks.offset());
    if (known === undefined) return;
    const progress = {
      destination: arrival.target,
      digest,
      location: chunks.location(),
      offset: known.offset,
      hashState: known.state,
      leastChunkBytes: chunks.least || undefined,
      at: now(),
    };
    await ledger.saveUpload(progress).catch(() => {});
  }

  async function send(chunk: Buffer, hash: ResumableHash): Promise<void> {
    await lease.keep();
    await chunks.write(chunk);
    sent += chunk.length;
    if (!arrival.restarted.has(digest)) arrival.bytes += chunk.length;
    await keep(hash);
  }

  return {
    arrival,
    offset: chunks.offset(),
    hashState,
    async write(body, { start }) {
      if (start === undefined) throw new Error('a resumable upload was not given the start of its stream');
      const reader = readBytes(body);
      // While one chunk is sent the next is read.
      let sending: Promise<void> = Promise.resolve();
      try {
        await reader.skip(chunks.offset() - start.offset);
        for (let position = chunks.offset(); position < size; ) {
          const chunk = await reader.take(chunkLength(resumable, chunks, size, position));
          await sending;
          sending = send(chunk, start.hash);
          sending.catch(() => {});
          position += chunk.length;
        }
      } finally {
        reader.close();
        await Promise.allSettled([sending]);
      }
      await sending;
    },
    async finish() {
      await chunks.finish();
      if (arrival.restarted.has(digest)) arrival.bytes += sent;
      await ledger.forgetUpload(arrival.target, digest).catch(() => {});
      await lease.release().catch(() => {});
    },
    async abandon(error) {
      const isKept = hasCode(error, ...keepsUpload) && chunks.offset() > 0;
      if (!isKept) {
        if (chunks.offset() > 0) await lose(resumable, blob, arrival).catch(() => {});
        void chunks.cancel();
      }
      await lease.release().catch(() => {});
      return isKept && sent > 0;
    },
  };
}

/** Bytes of the chunk that begins at `position`. */
function chunkLength(resumable: ResumableUploads, chunks: ChunkedUpload, size: number, position: number): number {
  const step = hashStep(resumable);
  const length = Math.min(Math.max(resumable.chunkBytes, chunks.least), chunks.most);
  const end = position + length;
  const aligned = end - (end % step);
  return Math.min(size, aligned > position ? aligned : end) - position;
}
