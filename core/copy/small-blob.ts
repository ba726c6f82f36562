import { algorithmOf, digestOf } from '../model/digest.ts';
import { hasCode, TranshipError, toTranshipError } from '../model/errors.ts';
import type { Descriptor } from '../model/manifest.ts';
import type { Repository } from '../model/reference.ts';
import { holdBlob, type ShortBlob } from '../registry/blobs.ts';
import type { RegistryClient } from '../registry/client.ts';
import { quirksOf } from '../registry/quirks.ts';
import { cancelUpload, putUpload, type UploadSession } from '../registry/uploads.ts';
import type { HeldBody } from '../registry/wire/body.ts';
import { type Arrival, type CopyContext, type Missed, nextStreamId } from './context.ts';
import { whenOpen } from './gate.ts';

/**
 * A blob up to this size is held whole, in the memory that it landed in, and goes with its digest in one PUT: configs are
 * a few KiB, and most images have layers of that size, too. Registries take some MiB in one request at least (ACR: 20
 * MB); `holdBody` takes less than half a MiB. To hold longer ones so would save no CPU.
 */
const SMALL_BYTES = 256 * 1024;

export function isSmall<Blob extends { size: number | undefined }>(blob: Blob): blob is Blob & { size: number } {
  return blob.size !== undefined && blob.size <= SMALL_BYTES;
}

/** False for a registry that has refused a blob in the body of a PUT. */
export function takesWhole(client: RegistryClient, { registry }: Repository): boolean {
  return !quirksOf(client, registry).refusesPutWithBody;
}

/** One that its descriptor may hold. */
type SmallBlob = ShortBlob & Pick<Descriptor, 'data'>;

/** An arrival and the session of its upload; undefined where its repository has the blob by now. */
interface Opened {
  arrival: Arrival;
  session?: UploadSession;
  error?: TranshipError;
}

/**
 * Brings a small blob to all arrivals, each tried once. One read of the source serves them all, and begins as soon as
 * the first of them is sure to need it, while its upload is being opened.
 *
 * @param open begins the upload to an arrival, and calls back before it does. @returns undefined where the arrival's
 *   repository has the blob by now
 */
export async function bringSmall(
  context: CopyContext,
  source: Repository,
  blob: SmallBlob,
  arrivals: Arrival[],
  open: (arrival: Arrival, onUpload: () => void) => Promise<UploadSession | undefined>,
): Promise<Missed[]> {
  const opening: Array<Promise<Opened>> = [];
  let carrying: Promise<Missed[]> | undefined;
  const begin = () => {
    carrying ??= context.blobSlots(() => carry(context, source, blob, opening));
  };
  for (const arrival of arrivals) {
    opening.push(
      open(arrival, begin).then(
        (session) => {
          if (session !== undefined) begin();
          return { arrival, session };
        },
        (error: unknown) => ({ arrival, error: toTranshipError(error) }),
      ),
    );
  }
  const unopened = (await Promise.all(opening)).flatMap(({ arrival, error }) => (error ? [{ arrival, error }] : []));
  return [...unopened, ...((await carrying) ?? [])];
}

/** Holds the blob, and puts it where an upload was opened. Never rejects. */
async function carry(
  { client, signal, gate, emit }: CopyContext,
  source: Repository,
  blob: SmallBlob,
  opening: ReadonlyArray<Promise<Opened>>,
): Promise<Missed[]> {
  await whenOpen(gate);
  const held = await holdBlob(client, source, blob, { signal }).catch((thrown: unknown) => {
    const error = toTranshipError(thrown);
    return (hasCode(error, 'blob-unknown') && heldInline(blob)) || error;
  });
  const opened = (await Promise.all(opening)).flatMap(({ arrival, session }) =>
    session ? [{ arrival, session }] : [],
  );
  const release = () => {
    if (!(held instanceof TranshipError)) held.release();
  };
  if (opened.length === 0) {
    release();
    return [];
  }
  const id = nextStreamId();
  const destinations = opened.map(({ arrival }) => arrival.target);
  emit({ type: 'blob-started', id, digest: blob.digest, size: blob.size, source, destinations });
  const put = async ({ arrival, session }: (typeof opened)[number]): Promise<Missed[]> => {
    try {
      if (held instanceof TranshipError) throw held;
      await putUpload(client, session, { body: held.parts, digest: blob.digest, signal });
      arrival.bytes += blob.size;
      return [];
    } catch (error) {
      void cancelUpload(client, session);
      return [{ arrival, error: toTranshipError(error) }];
    }
  };
  const missed = (await Promise.all(opened.map(put))).flat();
  release();
  const ok = missed.length < opened.length;
  if (ok) emit({ type: 'blob-progress', id, bytes: blob.size });
  emit({ type: 'blob-finished', id, ok });
  return missed;
}

/** The bytes that a descriptor holds itself: a registry need not have them. Undefined where they are not what it says. */
function heldInline({ digest, size, data }: SmallBlob): HeldBody | undefined {
  if (data === undefined) return undefined;
  const bytes = Buffer.from(data, 'base64');
  const isRight = bytes.length === size && digestOf(bytes, algorithmOf(digest)) === digest;
  return isRight ? { parts: [bytes], length: size, release: () => {} } : undefined;
}
