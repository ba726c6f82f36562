import { atSite, TranshipError, toTranshipError } from '../model/errors.ts';
import type { Descriptor } from '../model/manifest.ts';
import type { Repository } from '../model/reference.ts';
import { headBlob, openBlob } from '../registry/blobs.ts';
import { isWorthRetrying, retry, withRetryAt } from '../registry/retry.ts';
import { cancelUpload, finishUpload, startUpload, type UploadSession, writeUpload } from '../registry/uploads.ts';
import { beginUpload, holdsBlob, learnBlob, otherPlace, primeBlobs, uploadUnderWay } from './blob-index.ts';
import { type Arrival, type CopyContext, isAlive } from './context.ts';
import { pumpBlob } from './pump.ts';

/** Sees to it that every living arrival's repository holds all these blobs. What fails is noted in the arrival. */
export async function ensureBlobs(
  context: CopyContext,
  source: Repository,
  blobs: Descriptor[],
  arrivals: Arrival[],
): Promise<void> {
  const registries = new Set(arrivals.filter(isAlive).map((arrival) => arrival.target.registry));
  const digests = blobs.map((blob) => blob.digest);
  for (const registry of registries) await primeBlobs(context.index, registry, digests);
  await Promise.all(blobs.map((blob) => ensureBlob(context, source, blob, arrivals)));
}

/**
 * One blob, everywhere. It is read from the source once for all destinations that lack it, and uploaded once to a
 * registry however many repositories and tasks want it: the others wait and mount. The whole step is retried here, at most
 * `context.retry.attempts` times, and nothing inside it is.
 */
async function ensureBlob(context: CopyContext, source: Repository, blob: Descriptor, all: Arrival[]): Promise<void> {
  let lacking = all;
  let errors = new Map<Arrival, TranshipError>();
  try {
    const { maxThrottleWaitMs } = context.client.options;
    await retry(context.retry, { signal: context.signal, maxThrottleWaitMs }, async () => {
      errors = await bring(context, source, blob, lacking.filter(isAlive));
      lacking = [...errors.keys()];
      const [error] = errors.values();
      if (error === undefined) return;
      for (const [arrival, cause] of errors) {
        if (!isWorthRetrying(cause, maxThrottleWaitMs)) arrival.error = cause;
      }
      const rest = lacking.filter(isAlive).map((arrival) => errors.get(arrival) ?? error);
      // A registry that asks for a pause gets it before the others are tried again.
      throw rest.find(({ class: errorClass }) => errorClass === 'throttled') ?? rest[0] ?? error;
    });
  } catch (error) {
    for (const arrival of lacking) arrival.error ??= withRetryAt(errors.get(arrival) ?? toTranshipError(error));
  }
}

/** Brings the blob to all that lack it, each tried once; returns those that failed. */
async function bring(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  lacking: Arrival[],
): Promise<Map<Arrival, TranshipError>> {
  const errors = new Map<Arrival, TranshipError>();
  let waiting = lacking;
  while (waiting.length > 0) {
    // By the ledger, or because another task has just brought it to the same repository.
    const holding = waiting.filter(({ target }) => holdsBlob(context.index, target, blob.digest));
    for (const arrival of holding) arrival.present += 1;
    waiting = waiting.filter((arrival) => !holding.includes(arrival));
    if (waiting.length === 0) break;
    const leaders = chooseLeaders(context, blob, waiting);
    if (leaders.length === 0) {
      await Promise.race(waiting.map((one) => uploadUnderWay(context.index, one.target.registry, blob.digest)));
      continue;
    }
    for (const [arrival, error] of await lead(context, source, blob, leaders)) errors.set(arrival, error);
    waiting = waiting.filter((arrival) => !leaders.includes(arrival));
  }
  return errors;
}

/** One arrival per registry that is not uploading this blob now, or all of a registry that does not mount. */
function chooseLeaders(context: CopyContext, blob: Descriptor, lacking: Arrival[]): Arrival[] {
  const taken = new Set<string>();
  return lacking.filter(({ target }) => {
    if (uploadUnderWay(context.index, target.registry, blob.digest) !== undefined) return false;
    if (taken.has(target.registry) && !context.index.mountless.has(target.registry)) return false;
    taken.add(target.registry);
    return true;
  });
}

/** Brings the blob to these arrivals by mount or upload; returns those that failed. */
async function lead(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  leaders: Arrival[],
): Promise<Map<Arrival, TranshipError>> {
  const registries = new Set(leaders.map((arrival) => arrival.target.registry));
  const ends = [...registries].map((registry) => beginUpload(context.index, registry, blob.digest));
  const errors = new Map<Arrival, TranshipError>();
  try {
    const sessions = new Map<Arrival, UploadSession>();
    await Promise.all(
      leaders.map(async (arrival) => {
        try {
          const session = await openSession(context, source, blob, arrival);
          if (session === undefined) learnBlob(context.index, arrival.target, blob.digest);
          else sessions.set(arrival, session);
        } catch (error) {
          errors.set(arrival, toTranshipError(error));
        }
      }),
    );
    if (sessions.size > 0) await context.blobSlots(() => stream(context, source, blob, sessions, errors));
    for (const arrival of sessions.keys()) {
      if (!errors.has(arrival)) learnBlob(context.index, arrival.target, blob.digest);
    }
  } finally {
    for (const end of ends) end();
  }
  return errors;
}

/** An upload to fill, or undefined where the repository has the blob now: it was there, or could be mounted. */
async function openSession(
  { client, index, signal }: CopyContext,
  source: Repository,
  blob: Descriptor,
  arrival: Arrival,
): Promise<UploadSession | undefined> {
  const { target } = arrival;
  const isSameRegistry = source.registry === target.registry;
  const from = otherPlace(index, target, blob.digest) ?? (isSameRegistry ? source.repository : undefined);
  if (from !== undefined && from !== target.repository) {
    const answer = await startUpload(client, target, { mount: { digest: blob.digest, from }, signal });
    if (answer.kind === 'mounted') {
      arrival.mounted += 1;
      return undefined;
    }
    index.mountless.add(target.registry);
    return answer.session;
  }
  if ((await headBlob(client, target, blob.digest, { once: true, signal })) !== undefined) {
    arrival.present += 1;
    return undefined;
  }
  const answer = await startUpload(client, target, { signal });
  return answer.kind === 'session' ? answer.session : undefined;
}

let lastStreamId = 0;

async function stream(
  context: CopyContext,
  source: Repository,
  blob: Descriptor,
  sessions: Map<Arrival, UploadSession>,
  errors: Map<Arrival, TranshipError>,
): Promise<void> {
  const { client, signal, emit } = context;
  const { digest } = blob;
  const arrivals = [...sessions.keys()];
  const fail = (arrival: Arrival, error: TranshipError) => {
    errors.set(arrival, error);
    void cancelUpload(client, sessions.get(arrival) as UploadSession);
  };
  lastStreamId += 1;
  const id = lastStreamId;
  try {
    const size = blob.size ?? (await sizeAtSource(context, source, blob));
    let moved = 0;
    emit({ type: 'blob-started', id, digest, size, source, destinations: arrivals.map((arrival) => arrival.target) });
    const results = await pumpBlob({
      digest,
      size,
      signal,
      gate: context.gate,
      open: (offset, stop) => openBlob(client, source, digest, { offset, signal: stop }),
      onBytes: (bytes) => {
        moved += bytes;
        emit({ type: 'blob-progress', id, bytes: moved });
      },
      sinks: arrivals.map((arrival) => async (body) => {
        const session = sessions.get(arrival) as UploadSession;
        sessions.set(arrival, await writeUpload(client, session, { body, size, digest, signal }));
      }),
    });
    await Promise.all(
      arrivals.map(async (arrival, position) => {
        const failure = results[position];
        if (failure !== undefined) return fail(arrival, atSite(failure, { ...source, operation: 'get blob' }));
        try {
          await finishUpload(client, sessions.get(arrival) as UploadSession, digest, { signal });
          arrival.bytes += size;
        } catch (error) {
          fail(arrival, toTranshipError(error));
        }
      }),
    );
  } catch (error) {
    for (const arrival of arrivals) fail(arrival, toTranshipError(error));
  }
  emit({ type: 'blob-finished', id, ok: arrivals.some((arrival) => !errors.has(arrival)) });
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
