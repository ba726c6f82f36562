import { rephrase, type TranshipError } from '../model/errors.ts';
import type { Digest, Repository } from '../model/reference.ts';
import { type Call, callError, callOnce, patienceMs } from './call.ts';
import { parseUploadRange } from './headers/upload-range.ts';
import { errorOf } from './http-error.ts';
import { quirksOf, SMALL_CHUNK_BYTES } from './quirks.ts';
import { findReach } from './reach.ts';
import { send } from './send.ts';
import type { RegistryClient } from './state.ts';
import {
  cancelUpload,
  finishUpload,
  sessionAfter,
  TOKEN_LIFETIME_MS,
  type UploadSession,
  uploadCall,
} from './uploads.ts';
import { discard } from './wire/body.ts';
import type { RegistryResponse } from './wire/exchange.ts';
import { resolveLocation } from './wire/redirect.ts';

/** The upload of one blob, chunk by chunk. Between two chunks another process can go on with it. */
export interface ChunkedUpload {
  /** What the registry knows it by now, for {@link resumeChunkedUpload}. */
  location(): string;
  /** Bytes that the registry has. */
  offset(): number;
  /** Lengths of a chunk: the least, but for the last one, and the most. */
  least: number;
  most: number;
  /**
   * Sends the next bytes. Not retried.
   * @throws TranshipError transient where a new upload may succeed, e.g. because it will be sent in another way
   */
  write(chunk: Buffer): Promise<void>;
  /** Completes it under its digest. Not retried. */
  finish(): Promise<void>;
  /** Never throws. */
  cancel(): Promise<void>;
}

export interface ChunkedUploadOptions {
  digest: Digest;
  signal?: AbortSignal;
  /** Ends chunks that are under way, in place of `signal`. */
  chunkSignal?: AbortSignal;
}

/** What is allowed of a registry that asks for long chunks. Each one is lost when it breaks off. */
const LONGEST_LEAST_CHUNK = 1024 ** 3;

/** Whether a registry may take a blob in several PATCHes, as far as is known. */
export function mayTakeChunks(client: RegistryClient, registry: string): boolean {
  const { needsMonolithicPut, mostChunkBytes } = quirksOf(client, registry);
  return !needsMonolithicPut && mostChunkBytes !== 0;
}

/**
 * Goes on with an upload that was just begun. Each chunk is a PATCH with its `Content-Range`.
 * @see distribution spec, "Pushing a blob in chunks"
 */
export function chunkedUpload(
  client: RegistryClient,
  begun: UploadSession,
  options: ChunkedUploadOptions,
): ChunkedUpload {
  return openChunks(client, begun, 0, options);
}

/**
 * Asks a registry how much it has of an upload, to go on with it.
 *
 * @param kept what `location()` and `least` said. Not believed: it is checked as a `Location` of the registry is
 * @returns undefined where the registry does not know the upload, or does not say
 */
export async function resumeChunkedUpload(
  client: RegistryClient,
  repository: Repository,
  kept: { location: string; leastChunkBytes?: number },
  options: ChunkedUploadOptions,
): Promise<ChunkedUpload | undefined> {
  const call = uploadCall(client, repository, 'resume upload', options.signal, options.digest);
  return callOnce(call, async () => {
    const { endpoint } = await findReach(call);
    const url = await resolveLocation(call, endpoint, endpoint.base, kept.location);
    const response = await send(call, { method: 'GET', url });
    const { status, headers } = response;
    if ([200, 202, 204].includes(status)) {
      const offset = parseUploadRange(headers.range);
      const session = await sessionAfter(call, response, url.href);
      if (offset === undefined) return undefined;
      const leastChunkBytes = session.leastChunkBytes ?? kept.leastChunkBytes;
      return openChunks(client, { ...session, leastChunkBytes }, offset, options);
    }
    const isUnknown = [400, 404, 405, 410, 416, 501].includes(status);
    if (!isUnknown) throw await errorOf(call, response);
    await discard(response.body);
    return undefined;
  });
}

function openChunks(
  client: RegistryClient,
  begun: UploadSession,
  from: number,
  { digest, signal, chunkSignal = signal }: ChunkedUploadOptions,
): ChunkedUpload {
  let session = begun;
  let offset = from;
  let written = 0;
  const { leastChunkBytes = 0 } = begun;
  const most = quirksOf(client, begun.repository.registry).mostChunkBytes ?? Number.POSITIVE_INFINITY;
  return {
    location: () => session.location,
    offset: () => offset,
    least: Math.min(leastChunkBytes, LONGEST_LEAST_CHUNK),
    most,
    async write(chunk) {
      const call = uploadCall(client, session.repository, 'put chunk', chunkSignal, digest);
      // A registry that takes no chunks shows it at the first or at the second one.
      const isTrial = from === 0 && written < 2;
      session = await callOnce(call, () => putChunk(call, session, { chunk, offset, isTrial }));
      offset += chunk.length;
      written += 1;
    },
    finish: () => finishUpload(client, session, digest, { signal }),
    cancel: () => cancelUpload(client, session),
  };
}

async function putChunk(
  call: Call,
  session: UploadSession,
  { chunk, offset, isTrial }: { chunk: Buffer; offset: number; isTrial: boolean },
): Promise<UploadSession> {
  const size = chunk.length;
  const response = await send(call, {
    method: 'PATCH',
    url: new URL(session.location),
    headers: {
      'content-type': 'application/octet-stream',
      'content-range': `${offset}-${offset + size - 1}`,
    },
    body: [chunk],
    tokenLifetimeMs: TOKEN_LIFETIME_MS,
    responseTimeoutMs: patienceMs(call),
  });
  if (![200, 201, 202, 204].includes(response.status)) throw await chunkRefusal(call, response, { size, isTrial });
  const held = parseUploadRange(response.headers.range);
  const next = await sessionAfter(call, response, session.location);
  if (held === undefined || held === offset + size) return next;
  if (isTrial) quirksOf(call.client, call.repository.registry).mostChunkBytes = 0;
  throw callError(call, `the registry says that it has ${held} bytes, and ${offset + size} were sent`, {
    class: 'transient',
    code: 'unsupported',
  });
}

/** The error of a refused chunk. Notes that the registry takes only short chunks, or none. */
async function chunkRefusal(
  call: Call,
  response: RegistryResponse,
  { size, isTrial }: { size: number; isTrial: boolean },
): Promise<TranshipError> {
  const error = await errorOf(call, response);
  const { status } = response;
  if (response.isForeign || ![400, 404, 405, 411, 413, 416, 501].includes(status)) return error;
  // In the middle of an upload it is this upload that is spoilt; the next one may succeed.
  if (!isTrial) return rephrase(error, { class: 'transient', code: 'protocol' });
  const isTooLong = (status === 413 || status === 416) && size > SMALL_CHUNK_BYTES;
  quirksOf(call.client, call.repository.registry).mostChunkBytes = isTooLong ? SMALL_CHUNK_BYTES : 0;
  return rephrase(error, { class: 'transient', code: 'unsupported' });
}
