import { atSite, hasCode, TranshipError, toTranshipError } from '../model/errors.ts';
import type { Descriptor } from '../model/manifest.ts';
import type { Digest, Repository } from '../model/reference.ts';
import { waitFor } from '../registry/abort.ts';
import { headBlob, openBlob } from '../registry/blobs.ts';
import type { RegistryClient } from '../registry/client.ts';
import { isWorthRetrying, retry, withRetryAt } from '../registry/retry.ts';
import { cancelUpload, startUpload, type UploadSession } from '../registry/uploads.ts';
import { type Arrival, type CopyContext, isAlive, isKnownAt, type Missed, nextStreamId } from './context.ts';
import { noteCutOff } from './cut-off.ts';
import { type BlobMove, type MoveWatch, moveBlob } from './mover.ts';
import { pumpBlob } from './pump.ts';
import { hashStep, openResumable, takesChunks } from './resumable-upload.ts';
import { bringSmall, isSmall, takesWhole } from './small-blob.ts';
import { type BlobStream, type Upload, wholeUpload } from './upload.ts';

/**
 * Sees to it that every living arrival's repository holds the blob. It is read from the source once for all that lack
 * it, and uploaded once to a registry however many repositories and copies want it: the others wait and mount.
 *
 * Owns the retries: what fails in a way that may pass is brought again as a whole, `context.retry.attempts` times at
 * most, and nothing inside is retried. An arrival that the blob did not reach gets the error.
 */
export async function ensureBlob(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  arrivals: Arrival[],
): Promise<void> {
  const { maxThrottleWaitMs } = context.client.options;
  let lacking = arrivals.filter(isAlive);
  let missed: Missed[] = [];
  const bringAll = async (attempt: number) => {
    if (attempt === context.retry.attempts) {
      for (const { arrival, error } of missed) if (isUntold(error)) arrival.trust = 'nothing';
    }
    const all = await bring(context, source, blob, lacking);
    missed = all.filter(({ error }) => isWorthRetrying(error, maxThrottleWaitMs));
    for (const one of all) if (!missed.includes(one)) one.arrival.error = withRetryAt(one.error);
    lacking = missed.map(({ arrival }) => arrival);
    // A registry that asks for a pause gets it before the others are tried again.
    const worst = missed.find(({ error }) => error.class === 'throttled') ?? missed[0];
    if (worst !== undefined) throw worst.error;
  };
  const last = await errorFrom(retry(context.retry, { signal: context.signal, maxThrottleWaitMs }, bringAll));
  if (last === undefined) return;
  for (const arrival of lacking) {
    const own = missed.find((one) => one.arrival === arrival)?.error;
    // Stopped while it waited to try again: then that is why it ended.
    arrival.error = last.code === 'aborted' ? last : withRetryAt(own ?? last);
  }
}

/** A registry may fail to say whether it has a blob, and take it all the same (containers/skopeo#1137). */
function isUntold({ site }: TranshipError): boolean {
  return site.operation === 'head blob' && site.status === 500;
}

/** Brings the blob to all that lack it, each tried once. */
async function bring(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  lacking: Arrival[],
): Promise<Missed[]> {
  const { index, signal } = context;
  const missed: Missed[] = [];
  let waiting = lacking;
  while (true) {
    // The ledger knew it, or another copy has just brought it to the same repository.
    const known = waiting.filter((arrival) => isKnownAt(index, arrival, blob.digest));
    for (const arrival of known) {
      arrival.present += 1;
      arrival.believed = true;
    }
    waiting = waiting.filter((arrival) => !known.includes(arrival));
    if (waiting.length === 0) return missed;
    const taken: Array<{ arrival: Arrival; release: () => void }> = [];
    const others: Array<Promise<void>> = [];
    for (const arrival of waiting) {
      const claim = index.claimUpload(arrival.target, blob.digest);
      if (claim.kind === 'taken') taken.push({ arrival, release: claim.release });
      else others.push(claim.ended);
    }
    if (taken.length > 0) {
      const leaders = taken.map(({ arrival }) => arrival);
      try {
        missed.push(...(await lead(context, source, blob, leaders)));
      } finally {
        for (const { release } of taken) release();
      }
      waiting = waiting.filter((arrival) => !leaders.includes(arrival));
    } else {
      const error = await errorFrom(waitFor(Promise.race(others), signal));
      if (error !== undefined) return [...missed, ...waiting.map((arrival) => ({ arrival, error }))];
    }
  }
}

/** Brings the blob to these arrivals by mount or upload. */
async function lead(context: CopyContext, source: Repository, blob: Descriptor, leaders: Arrival[]): Promise<Missed[]> {
  const { client, resumable, uploadSlots } = context;
  const mayBeWhole = isSmall(blob) && (resumable === undefined || blob.size < resumable.fromBytes);
  const whole = mayBeWhole ? leaders.filter(({ target }) => takesWhole(client, target)) : [];
  const streamed = leaders.filter((leader) => !whole.includes(leader));
  const open = (arrival: Arrival, onUpload: () => void) => openSession(context, source, blob, arrival, onUpload);
  const missed = (
    await Promise.all([
      mayBeWhole && whole.length > 0 ? uploadSlots(() => bringSmall(context, source, blob, whole, open)) : [],
      streamed.length > 0 ? uploadSlots(() => bringStreamed(context, source, blob, streamed)) : [],
    ])
  ).flat();
  for (const leader of leaders) {
    if (!missed.some(({ arrival }) => arrival === leader)) context.index.add(leader.target, blob.digest);
  }
  return missed;
}

/** As {@link lead}, for a blob of any size. */
async function bringStreamed(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  leaders: Arrival[],
): Promise<Missed[]> {
  const missed: Missed[] = [];
  const uploads: Upload[] = [];
  await Promise.all(
    leaders.map(async (arrival) => {
      try {
        const upload = await openUpload(context, source, blob, arrival);
        if (upload !== undefined) uploads.push(upload);
      } catch (error) {
        missed.push({ arrival, error: toTranshipError(error) });
      }
    }),
  );
  // Those of which earlier workers brought as much, mostly nothing, share one read of the source.
  const groups = [...Map.groupBy(uploads, ({ offset }) => offset).values()];
  const late = (
    await Promise.all(groups.map((group) => context.blobSlots(() => streamInTurns(context, source, blob, group))))
  ).flat();
  return [...missed, ...late];
}

/** Opens the upload of a blob to one arrival; undefined where the repository has it now. */
async function openUpload(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  arrival: Arrival,
): Promise<Upload | undefined> {
  const { client, resumable, signal } = context;
  const begin = () => openSession(context, source, blob, arrival);
  const { size } = blob;
  if (resumable !== undefined && size !== undefined && size >= resumable.fromBytes) {
    if (await takesChunks(client, resumable, arrival.target))
      return openResumable(context, resumable, { ...blob, size }, arrival, begin);
  }
  const begun = await begin();
  return begun && wholeUpload(client, blob.digest, { arrival, begun, signal });
}

/** To bring such a blob again costs little. */
const MODEST_BYTES = 4 * 1024 * 1024;

/**
 * An upload to fill, or undefined where the repository has the blob now: it was there, or could be mounted. A mount
 * costs one request, as a HEAD does. So it is tried first, but not at a registry that has refused one: many refuse all.
 *
 * @param onUpload called before a request that can only begin an upload
 */
async function openSession(
  { client, index, bare, signal }: CopyContext,
  source: Repository,
  { digest, size }: Descriptor,
  arrival: Arrival,
  onUpload: () => void = () => {},
): Promise<UploadSession | undefined> {
  const { target, trust } = arrival;
  const isSameRegistry = source.registry === target.registry && source.repository !== target.repository;
  const from = index.mountSource(target, digest) ?? (isSameRegistry ? source.repository : undefined);
  const mount = trust === 'mounts' && from !== undefined ? { digest, from } : undefined;
  // A run that was killed may have left blobs without a tag. To find a small one costs as much as to bring it again.
  const isNew = trust === 'mounts' && arrival.isEmpty;
  const isThere = async () => {
    if (trust === 'nothing' || (isNew && isSmall({ size }))) return false;
    const ask = () => hasBlob(client, target, digest, signal);
    return isNew && size !== undefined && size <= MODEST_BYTES ? bare.hasBlob(target, ask) : ask();
  };

  const asksFirst = mount === undefined || index.hasRefusedMount(target.registry);
  if (asksFirst && (await isThere())) {
    arrival.present += 1;
    return undefined;
  }
  if (mount === undefined) onUpload();
  const started = await startUpload(client, target, { mount, signal });
  if (started.kind === 'mounted') {
    arrival.mounted += 1;
    return undefined;
  }
  if (mount !== undefined) index.noteRefusedMount(target.registry);
  if (!asksFirst && (await isThere())) {
    arrival.present += 1;
    void cancelUpload(client, started.session);
    return undefined;
  }
  return started.session;
}

/**
 * Whether a destination has the blob. Where it refuses to tell, the blob is uploaded: a login may push but not read, or a
 * gateway may let no HEAD through.
 */
async function hasBlob(
  client: RegistryClient,
  target: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await headBlob(client, target, digest, { once: true, access: 'push', signal })) !== undefined;
  } catch (error) {
    if (hasCode(error, 'unauthorized', 'denied', 'refused', 'unsupported')) return false;
    throw error;
  }
}

/**
 * As {@link stream}, for uploads in chunks to no more destinations at a time than there is memory for: twenty destinations
 * of four layers held 1.3 GB. The source is read once for each turn.
 */
async function streamInTurns(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  uploads: Upload[],
): Promise<Missed[]> {
  const { resumable } = context;
  if (resumable === undefined || isInOneRequest(uploads)) return stream(context, source, blob, uploads);
  const { chunkSlots } = resumable;
  const missed: Missed[] = [];
  for (let first = 0; first < uploads.length; first += chunkSlots.count) {
    const turn = uploads.slice(first, first + chunkSlots.count);
    missed.push(...(await chunkSlots(() => stream(context, source, blob, turn), turn.length)));
  }
  return missed;
}

/** Moves the bytes from the source into all uploads, which have the same offset. */
async function stream(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  uploads: Upload[],
): Promise<Missed[]> {
  const { client, signal, gate, emit } = context;
  const { digest } = blob;
  const startedAt = performance.now();
  let read = 0;
  let size = 0;
  const fail = async (upload: Upload, error: TranshipError): Promise<Missed> => {
    const { arrival } = upload;
    const isKept = await upload.abandon(error);
    if (signal.aborted && read > 0 && !isKept) {
      noteCutOff(arrival, { digest, size, bytes: read, ms: performance.now() - startedAt });
    }
    return { arrival, error };
  };
  let start: BlobStream['start'];
  try {
    size = blob.size ?? (await sizeAtSource(context, source, blob));
    start = await startOfStream(context, digest, uploads);
  } catch (error) {
    return Promise.all(uploads.map((upload) => fail(upload, toTranshipError(error))));
  }
  const id = nextStreamId();
  let moved = start?.offset ?? 0;
  emit({ type: 'blob-started', id, digest, size, source, destinations: uploads.map(({ arrival }) => arrival.target) });
  const watch: MoveWatch = {
    signal,
    gate,
    onBytes: (bytes) => {
      moved += bytes;
      emit({ type: 'blob-progress', id, bytes: moved });
    },
    onRead: (bytes) => {
      read += bytes;
    },
  };
  const failures =
    start === undefined
      ? await moveWhole(context, { source, digest, size }, watch, uploads)
      : await pumpBlob({
          ...watch,
          digest,
          size,
          start,
          open: (offset, stop) => openBlob(client, source, digest, { offset, signal: stop }),
          sinks: uploads.map((upload) => (body) => upload.write(body, { size, start })),
        });
  const missed = await Promise.all(
    uploads.map(async (upload, position) => {
      const failure = failures[position];
      if (failure !== undefined) return fail(upload, atSite(failure, { ...source, operation: 'get blob' }));
      const error = await errorFrom(upload.finish());
      return error && fail(upload, error);
    }),
  );
  emit({ type: 'blob-finished', id, ok: missed.includes(undefined) });
  return missed.filter((one) => one !== undefined);
}

/**
 * Moves a blob from its first byte on to uploads that each go in one request.
 * @returns for each upload, in order: undefined, or why it failed
 */
async function moveWhole(
  { client, mover }: CopyContext,
  blob: Omit<BlobMove, 'sessions'>,
  watch: MoveWatch,
  uploads: Upload[],
): Promise<Array<TranshipError | undefined>> {
  const wholes = uploads.flatMap(({ whole }) => whole ?? []);
  const move = { ...blob, sessions: wholes.map(({ session }) => session) };
  const here = () => moveBlob(client, move, watch);
  const ends = await (mover === undefined ? here() : mover(move, watch, here));
  return ends.map((end, position) => {
    if (end.kind === 'failed') return end.error;
    wholes[position]?.sent(end.session, blob.size);
    return undefined;
  });
}

function isInOneRequest(uploads: Upload[]): boolean {
  return uploads.every(({ whole }) => whole !== undefined);
}

/**
 * Where a stream to these uploads begins, with a hash that can be kept: where an earlier worker left the hash, of the
 * bytes that all of them have.
 *
 * @returns undefined where each of them goes in one request
 */
async function startOfStream(
  { resumable }: CopyContext,
  digest: Digest,
  uploads: Upload[],
): Promise<BlobStream['start']> {
  if (resumable === undefined || isInOneRequest(uploads)) return undefined;
  const everyBytes = hashStep(resumable);
  const states = uploads.flatMap(({ offset, hashState }) =>
    hashState !== undefined && hashState.offset <= offset ? [hashState] : [],
  );
  const from = states.toSorted((a, b) => b.offset - a.offset)[0];
  const hash = from && (await resumable.startHash(digest, { everyBytes, from }).catch(() => undefined));
  if (hash !== undefined) return { offset: from?.offset ?? 0, hash };
  // The bytes are read again, to hash them.
  return { offset: 0, hash: await resumable.startHash(digest, { everyBytes }) };
}

/** Schema 1 manifests do not say how large their layers are. */
async function sizeAtSource({ client, signal }: CopyContext, source: Repository, blob: Descriptor): Promise<number> {
  const size = await headBlob(client, source, blob.digest, { once: true, signal });
  if (size !== undefined) return size;
  throw new TranshipError(`the source does not have ${blob.digest}, which its manifest names`, {
    class: 'permanent',
    code: 'blob-unknown',
    registry: source.registry,
    repository: source.repository,
    operation: 'head blob',
  });
}

/** How a step failed; undefined where it succeeded. */
function errorFrom(step: Promise<unknown>): Promise<TranshipError | undefined> {
  return step.then(() => undefined, toTranshipError);
}
