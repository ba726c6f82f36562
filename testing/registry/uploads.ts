import type { Blob, Upload } from './content.ts';
import { answerEmpty, digestFrom, type Exchange } from './exchange.ts';
import { Problem } from './problem.ts';

/**
 * POST: mounts a blob, takes a whole one (`?digest=`), or begins an upload. A mount that cannot be is an upload begun.
 */
export async function startUpload(exchange: Exchange): Promise<void> {
  const { content, repository, query } = exchange;
  const mount = query.get('mount');
  const from = query.get('from');
  if (mount !== null && from !== null) {
    const blob = content.mountBlob(repository, digestFrom(mount), from);
    if (blob !== undefined) return answerBlob(exchange, blob);
  }
  const digest = query.get('digest');
  const wanted = digest === null ? undefined : digestFrom(digest);
  const upload = content.startUpload(repository);
  if (wanted === undefined) return answerUpload(exchange, 202, upload);
  await receive(exchange, upload);
  answerBlob(exchange, content.finishUpload(upload, wanted));
}

/** PATCH: the next bytes. A `Content-Range` that does not begin where the upload is gets 416. */
export async function patchUpload(exchange: Exchange): Promise<void> {
  const upload = findUpload(exchange);
  checkContentRange(exchange, upload);
  await receive(exchange, upload);
  answerUpload(exchange, 202, upload);
}

export function uploadStatus(exchange: Exchange): void {
  answerUpload(exchange, 204, findUpload(exchange));
}

/** PUT: the last bytes, if any, and the digest of all. */
export async function finishUpload(exchange: Exchange): Promise<void> {
  const upload = findUpload(exchange);
  const digest = digestFrom(exchange.query.get('digest') ?? '');
  checkContentRange(exchange, upload);
  await receive(exchange, upload);
  answerBlob(exchange, exchange.content.finishUpload(upload, digest));
}

export function cancelUpload(exchange: Exchange): void {
  exchange.content.cancelUpload(findUpload(exchange));
  answerEmpty(exchange, 204, {});
}

/** The state of an upload is in its Location's query, as with CNCF distribution: a client must keep what is there. */
function findUpload(exchange: Exchange): Upload {
  const upload = exchange.content.findUpload(exchange.repository, exchange.argument);
  if (exchange.query.get('_state') === stateOf(upload)) return upload;
  throw new Problem(400, 'BLOB_UPLOAD_INVALID', 'blob upload invalid: no or wrong _state');
}

async function receive(exchange: Exchange, upload: Upload): Promise<void> {
  for await (const chunk of exchange.request) {
    exchange.onBlobBytes(chunk.length);
    exchange.content.appendToUpload(upload, chunk);
  }
}

function checkContentRange(exchange: Exchange, upload: Upload): void {
  const header = exchange.request.headers['content-range'];
  if (header === undefined) return;
  const [, start, end] = /^(\d+)-(\d+)$/.exec(header) ?? [];
  const length = exchange.request.headers['content-length'];
  const fits =
    Number(start) === upload.size && (length === undefined || Number(end) - Number(start) + 1 === Number(length));
  if (!fits) throw new Problem(416, 'BLOB_UPLOAD_INVALID', 'blob upload out of order', uploadHeaders(exchange, upload));
}

function answerUpload(exchange: Exchange, status: 202 | 204, upload: Upload): void {
  answerEmpty(exchange, status, uploadHeaders(exchange, upload));
}

function uploadHeaders(exchange: Exchange, upload: Upload): Record<string, string> {
  return {
    Location: `/v2/${exchange.repository}/blobs/uploads/${upload.id}?_state=${stateOf(upload)}`,
    Range: `0-${Math.max(upload.size - 1, 0)}`,
    'Docker-Upload-UUID': upload.id,
  };
}

function stateOf(upload: Upload): string {
  return Buffer.from(upload.id).toString('base64url');
}

function answerBlob(exchange: Exchange, blob: Blob): void {
  answerEmpty(exchange, 201, {
    Location: `/v2/${exchange.repository}/blobs/${blob.digest}`,
    'Docker-Content-Digest': blob.digest,
  });
}
