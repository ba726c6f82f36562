import type { TranshipError } from '../model/errors.ts';
import type { Digest, Repository } from '../model/reference.ts';
import { openBlob } from '../registry/blobs.ts';
import type { RegistryClient } from '../registry/client.ts';
import { type UploadSession, writeUpload } from '../registry/uploads.ts';
import type { Gate } from './gate.ts';
import { pumpBlob } from './pump.ts';

/** A blob that is to go from its source to uploads that have been begun. Plain data: another thread can do it. */
export interface BlobMove {
  source: Repository;
  digest: Digest;
  /** Bytes. */
  size: number;
  sessions: UploadSession[];
}

/** What became of one upload. */
export type MoveEnd = { kind: 'sent'; session: UploadSession } | { kind: 'failed'; error: TranshipError };

/** What goes on between a move and whoever asked for it. */
export interface MoveWatch {
  signal: AbortSignal;
  /** Nothing is read while it is shut. */
  gate?: Pick<Gate, 'isShut' | 'onOpen'>;
  /** Bytes that are hashed and on their way. */
  onBytes: (bytes: number) => void;
  /** Bytes that came from the source, those included that it sent again. */
  onRead: (bytes: number) => void;
}

/**
 * Chooses where a blob is moved: here, by calling `here`, or in another thread.
 * @returns for each session, in order, what became of it. Never rejects.
 */
export type BlobMover = (move: BlobMove, watch: MoveWatch, here: () => Promise<MoveEnd[]>) => Promise<MoveEnd[]>;

/** Moves a blob: reads, hashes and sends it, without completing the uploads. Never rejects. */
export async function moveBlob(
  client: RegistryClient,
  { source, digest, size, sessions }: BlobMove,
  { signal, gate, onBytes, onRead }: MoveWatch,
): Promise<MoveEnd[]> {
  const sent = [...sessions];
  const failures = await pumpBlob({
    digest,
    size,
    signal,
    gate,
    onBytes,
    onRead,
    open: (offset, stop) => openBlob(client, source, digest, { offset, signal: stop }),
    sinks: sessions.map((session, index) => async (body) => {
      sent[index] = await writeUpload(client, session, { body, size, digest, signal });
    }),
  });
  return sent.map((session, index): MoveEnd => {
    const error = failures[index];
    return error === undefined ? { kind: 'sent', session } : { kind: 'failed', error };
  });
}
