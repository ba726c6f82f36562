import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Content } from './content.ts';
import { Problem } from './problem.ts';

export type Deletes = 'tags' | 'digests' | 'nothing';

/** One request on its way through a handler. */
export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  query: URLSearchParams;
  content: Content;
  /** Name of the repository in the path. */
  repository: string;
  /** Last part of the path: reference, digest or upload id. */
  argument: string;
  /** Longest page of a tag list. */
  maxTagsPerPage: number;
  /** Longest page of a list of referrers; `none` where there is no such API. */
  referrers: number | 'none';
  /** What DELETE of a manifest takes. */
  deletes: Deletes;
  /** Counts bytes of blobs, either way. */
  onBlobBytes: (count: number) => void;
}

export type Handler = (exchange: Exchange) => void | Promise<void>;

/** Answers without a body. */
export function answerEmpty(exchange: Exchange, status: number, headers: Record<string, string>): void {
  exchange.response.writeHead(status, { 'Content-Length': 0, ...headers }).end();
}

/** Answers with bytes at hand; to a HEAD request with their length only. */
export function answerBytes(exchange: Exchange, headers: Record<string, string>, bytes: Buffer): void {
  exchange.response.writeHead(200, { 'Content-Length': bytes.length, ...headers });
  exchange.response.end(exchange.request.method === 'HEAD' ? undefined : bytes);
}

/** Sends chunks as fast as the client takes them. */
export async function answerChunks(exchange: Exchange, chunks: Iterable<Buffer>): Promise<void> {
  const counted = function* () {
    for (const chunk of chunks) {
      exchange.onBlobBytes(chunk.length);
      yield chunk;
    }
  };
  await pipeline(Readable.from(counted(), { objectMode: false }), exchange.response);
}

const maxManifestSize = 4 * 1024 * 1024;

/** @throws 413 above 4 MiB, the size that every registry must take (distribution-spec, "Pushing Manifests") */
export async function readManifestBody(exchange: Exchange): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of exchange.request) {
    size += chunk.length;
    // Reads on where it is too large: leaving the loop would close the connection before the answer.
    if (size <= maxManifestSize) chunks.push(chunk);
  }
  if (size > maxManifestSize) throw new Problem(413, 'SIZE_INVALID', 'manifest larger than 4 MiB');
  return Buffer.concat(chunks);
}

const digestPattern = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** @throws DIGEST_INVALID */
export function digestFrom(text: string): string {
  if (digestPattern.test(text)) return text;
  throw new Problem(400, 'DIGEST_INVALID', `not a digest: ${text.slice(0, 200)}`);
}
