import { algorithmOf, digestOf, digestOfParts } from '../model/digest.ts';
import { rephrase, type TranshipError } from '../model/errors.ts';
import { type Digest, formatRepository, type Repository } from '../model/reference.ts';
import { type Call, callError, callOnce, type QuestionOptions, retryCall } from './call.ts';
import { parseContentRange } from './headers/content-range.ts';
import { parseLength } from './headers/length.ts';
import { errorOf } from './http-error.ts';
import { fromMirrors } from './mirrors.ts';
import { send } from './send.ts';
import type { RegistryClient } from './state.ts';
import { discard, type HeldBody } from './wire/body.ts';
import type { ByteSource } from './wire/byte-source.ts';
import { holdResponse } from './wire/exchange.ts';

export interface OpenedBlob {
  body: ByteSource;
  /** Bytes that follow; undefined where the registry does not say. */
  size: number | undefined;
  /** Where in the blob the body begins: at the offset asked for, or at 0 where the registry knows no ranges. */
  offset: number;
}

/** Statuses that say nothing about the blob, only that HEAD is refused: a presigned URL is signed for GET. */
const askByGet = [400, 403, 405, 501];

/**
 * Size of a blob in bytes, by HEAD; by a one-byte GET where the response to HEAD does not tell.
 * @param options.once the caller retries
 * @returns undefined where the registry does not have it, or cannot say how long it is
 */
export function headBlob(
  client: RegistryClient,
  repository: Repository,
  digest: Digest,
  { once = false, access, signal }: QuestionOptions & { once?: boolean } = {},
): Promise<number | undefined> {
  const call = blobCall(client, repository, digest, 'head blob', { access, signal });
  return (once ? callOnce : retryCall)(call, () => headBlobOnce(call, digest));
}

/** As {@link headBlob}, as a part of another call. */
export async function headBlobOnce(call: Call, digest: Digest): Promise<number | undefined> {
  const response = await send(call, { method: 'HEAD', url: pathOf(call.repository, digest) });
  const { status, headers } = response;
  if (status !== 200 && status !== 404 && !askByGet.includes(status)) throw await errorOf(call, response);
  await discard(response.body);
  if (status === 404) return undefined;
  const size = parseLength(headers['content-length']);
  return status === 200 && size !== undefined ? size : probe(call, digest);
}

/** Asks for one byte. Unlike a response to HEAD, a refusal has a body that says why. */
async function probe(call: Call, digest: Digest): Promise<number | undefined> {
  const headers = { range: 'bytes=0-0' };
  const response = await send(call, { method: 'GET', url: pathOf(call.repository, digest), headers });
  const { status } = response;
  if (status !== 200 && status !== 206 && status !== 416) {
    const error = await errorOf(call, response);
    if (isMissingBlob(error)) return undefined;
    throw error;
  }
  // A 200 brings the whole blob; only its header is needed.
  response.body.cancel();
  if (status === 200) return parseLength(response.headers['content-length']);
  return parseContentRange(response.headers['content-range'])?.total;
}

/**
 * Opens a blob for reading, from `offset` on where the registry can; at a mirror first, where the repository has any. Neither retried nor verified here: the reader does
 * both. The body must be read to its end or cancelled.
 *
 * @throws TranshipError `blob-unknown`, permanent, where the registry does not have it
 */
export function openBlob(
  client: RegistryClient,
  repository: Repository,
  digest: Digest,
  options: { offset?: number; signal?: AbortSignal } = {},
): Promise<OpenedBlob> {
  const open = (from: Repository) => openBlobAt(client, from, digest, options);
  const mirrored = fromMirrors(client, repository, open, { begun: digest });
  return mirrored === undefined ? open(repository) : mirrored.then((opened) => opened ?? open(repository));
}

function openBlobAt(
  client: RegistryClient,
  repository: Repository,
  digest: Digest,
  { offset = 0, signal }: { offset?: number; signal?: AbortSignal },
): Promise<OpenedBlob> {
  const call = blobCall(client, repository, digest, 'get blob', { signal });
  return callOnce(call, async () => {
    const response = await send(call, {
      method: 'GET',
      url: pathOf(repository, digest),
      ...(offset > 0 && { headers: { range: `bytes=${offset}-` } }),
    });
    const { status, headers, body } = response;
    if (status === 200) return { body, size: parseLength(headers['content-length']), offset: 0 };
    if (status !== 206) {
      const error = await errorOf(call, response);
      // The rest is refused; the next try asks for the whole.
      if (offset > 0 && status === 400) throw rephrase(error, { class: 'transient' });
      throw isMissingBlob(error) ? missingBlob(error) : error;
    }
    const range = parseContentRange(headers['content-range']);
    const isWhole = range?.start === 0 && range.end + 1 === range.total;
    if (range?.start !== offset || (offset === 0 && !isWhole)) {
      body.cancel();
      throw callError(call, `asked for the bytes from ${offset} on, and got other ones`, {
        class: 'transient',
        code: 'protocol',
      });
    }
    return { body, size: range.end - range.start + 1, offset };
  });
}

/** A blob of less than half a MiB: see `holdBody` in wire/body.ts. */
export type ShortBlob = { digest: Digest; size: number };

/**
 * The bytes of a short blob, whose size and digest are right, in the memory that they landed in. Not retried here: the
 * caller retries.
 *
 * @throws TranshipError `blob-unknown`, permanent, where the registry does not have it; `size-mismatch` or
 *   `digest-mismatch`, transient
 */
export function holdBlob(
  client: RegistryClient,
  repository: Repository,
  blob: ShortBlob,
  options: { signal?: AbortSignal } = {},
): Promise<HeldBody> {
  const hold = (from: Repository) => holdBlobAt(client, from, blob, options);
  const mirrored = fromMirrors(client, repository, hold);
  return mirrored === undefined ? hold(repository) : mirrored.then((held) => held ?? hold(repository));
}

/** The bytes of a short blob, as {@link holdBlob}, in one buffer. */
export async function readBlob(
  client: RegistryClient,
  repository: Repository,
  blob: ShortBlob,
  options: { signal?: AbortSignal } = {},
): Promise<Buffer> {
  const { parts, release } = await holdBlob(client, repository, blob, options);
  const bytes = Buffer.concat(parts);
  release();
  return bytes;
}

function holdBlobAt(
  client: RegistryClient,
  repository: Repository,
  { digest, size }: ShortBlob,
  { signal }: { signal?: AbortSignal },
): Promise<HeldBody> {
  const call = blobCall(client, repository, digest, 'get blob', { signal });
  return callOnce(call, async () => {
    const response = await send(call, { method: 'GET', url: pathOf(repository, digest) });
    // A part is found out by its digest.
    if (response.status !== 200 && response.status !== 206) {
      const error = await errorOf(call, response);
      throw isMissingBlob(error) ? missingBlob(error) : error;
    }
    const isRight = (sent: Buffer) => digestOf(sent, algorithmOf(digest)) === digest;
    const held = await holdResponse(call, response, size, isRight);
    const spoilt = (code: 'size-mismatch' | 'digest-mismatch', what: string) => {
      held?.release();
      return callError(call, what, { class: 'transient', code, mend: SPOILT_BLOB });
    };
    if (held?.length !== size) {
      const actual = held?.length ?? parseLength(response.headers['content-length']) ?? `more than ${size}`;
      throw spoilt('size-mismatch', `the source has ${actual} bytes of ${digest}, and its manifest says ${size}`);
    }
    const actual = digestOfParts(held.parts, algorithmOf(digest));
    if (actual !== digest) throw spoilt('digest-mismatch', `the source sent bytes with digest ${actual}`);
    return held;
  });
}

/** What may be done about a blob that never comes as its digest and its manifest say. */
export const SPOILT_BLOB =
  'if it stays so, the source has damaged the blob, or a cache or proxy before it has: push the image there again, or go by another way';

function isMissingBlob({ code }: TranshipError): boolean {
  return code === 'blob-unknown' || code === 'not-found';
}

function missingBlob(error: TranshipError): TranshipError {
  return rephrase(error, {
    code: 'blob-unknown',
    mend: 'if the tag was replaced while it was copied, the next run has it; else push the image to the source again',
  });
}

function blobCall(
  client: RegistryClient,
  repository: Repository,
  digest: Digest,
  operation: string,
  { access = 'pull', signal }: QuestionOptions,
): Call {
  const subject = `${formatRepository(repository)}@${digest}`;
  return { client, repository, operation, subject, access, signal };
}

function pathOf({ repository }: Repository, digest: Digest): string {
  return `/v2/${repository}/blobs/${digest}`;
}
