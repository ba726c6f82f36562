import type { TranshipError } from '../model/errors.ts';
import type { Digest } from '../model/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import { cancelUpload, finishUpload, type UploadSession, writeUpload } from '../registry/uploads.ts';
import type { ByteSource } from '../registry/wire/byte-source.ts';
import type { Arrival } from './context.ts';
import type { RunningHash } from './pump.ts';

/** The state of a running hash after so many bytes. */
export interface HashState {
  offset: number;
  state: Uint8Array;
}

/** A running hash that another process can go on with. */
export interface ResumableHash extends RunningHash {
  /** The latest noted state that covers no byte after `offset`. */
  stateAt(offset: number): HashState | undefined;
}

/** A stream of a blob, from some byte to its end. */
export interface BlobStream {
  /** Bytes of the whole blob. */
  size: number;
  /** Where it does not begin at the first byte, or one of its uploads is resumable. */
  start?: { offset: number; hash: ResumableHash };
}

/** A blob on its way to one destination. */
export interface Upload {
  arrival: Arrival;
  /** Bytes that the destination had when this upload was opened. */
  offset: number;
  /** The hash of some of these bytes, where an earlier worker left it. */
  hashState?: HashState;
  /** It goes in one request. One that does not needs a hash whose state can be kept. */
  whole?: WholeUpload;
  /** Takes all bytes of a stream of the blob. */
  write(body: ByteSource, stream: BlobStream): Promise<void>;
  /** Completes it when all bytes are right. */
  finish(): Promise<void>;
  /**
   * Ends it after a failure. Never throws.
   * @returns whether another worker can go on with what this one has sent
   */
  abandon(error: TranshipError): Promise<boolean>;
}

/** What another can send the bytes of an upload by. */
export interface WholeUpload {
  readonly session: UploadSession;
  /** Told when all bytes have been sent, with the session after that. */
  sent(session: UploadSession, length: number): void;
}

/** An upload in one request, which is lost where it breaks off. */
export function wholeUpload(
  client: RegistryClient,
  digest: Digest,
  { arrival, begun, signal }: { arrival: Arrival; begun: UploadSession; signal: AbortSignal },
): Upload {
  let session = begun;
  let length = 0;
  const whole: WholeUpload = {
    session: begun,
    sent(after, sentLength) {
      session = after;
      length = sentLength;
    },
  };
  return {
    arrival,
    offset: 0,
    whole,
    async write(body, { size }) {
      whole.sent(await writeUpload(client, begun, { body, size, digest, signal }), size);
    },
    async finish() {
      await finishUpload(client, session, digest, { signal });
      arrival.bytes += length;
    },
    async abandon() {
      void cancelUpload(client, session);
      return false;
    },
  };
}
