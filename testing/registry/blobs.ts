import type { Blob } from './content.ts';
import { answerChunks, answerEmpty, digestFrom, type Exchange } from './exchange.ts';
import { Problem } from './problem.ts';

/** HEAD and GET, with `Range` of one range. */
export async function getBlob(exchange: Exchange): Promise<void> {
  const blob = exchange.content.blob(exchange.repository, digestFrom(exchange.argument));
  if (blob === undefined) throw unknown();
  const range = rangeOf(exchange.request.headers.range, blob);
  const { start, end } = range ?? { start: 0, end: blob.size };
  exchange.response.writeHead(range === undefined ? 200 : 206, {
    'Content-Type': 'application/octet-stream',
    'Content-Length': end - start,
    'Docker-Content-Digest': blob.digest,
    'Accept-Ranges': 'bytes',
    ETag: `"${blob.digest}"`,
    ...(range !== undefined && { 'Content-Range': `bytes ${start}-${end - 1}/${blob.size}` }),
  });
  if (exchange.request.method === 'HEAD') exchange.response.end();
  else await answerChunks(exchange, blob.read(start, end));
}

export function deleteBlob(exchange: Exchange): void {
  if (!exchange.content.deleteBlob(exchange.repository, digestFrom(exchange.argument))) throw unknown();
  answerEmpty(exchange, 202, {});
}

/**
 * RFC 9110, 14.2: what is not understood is as if it were not there.
 * @returns the end exclusive; undefined for the whole blob
 * @throws 416 for a range outside the blob
 */
function rangeOf(header: string | undefined, blob: Blob): { start: number; end: number } | undefined {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (from === '' && to === '') return undefined;
  const start = from === '' ? Math.max(blob.size - Number(to), 0) : Number(from);
  const end = from === '' || to === '' ? blob.size : Math.min(Number(to) + 1, blob.size);
  if (start < end) return { start, end };
  throw new Problem(416, 'RANGE_INVALID', 'requested range not satisfiable', {
    'Content-Range': `bytes */${blob.size}`,
  });
}

function unknown(): Problem {
  return new Problem(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
}
