import type { Manifest } from './content.ts';
import { answerBytes, answerEmpty, digestFrom, type Exchange, readManifestBody } from './exchange.ts';
import { readManifest } from './manifest-parts.ts';
import { Problem } from './problem.ts';

const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/**
 * HEAD and GET. A type that the client does not accept is "unknown" to it, and one that it has by its digest is "not
 * modified", as with CNCF distribution.
 */
export function getManifest(exchange: Exchange): void {
  const manifest = exchange.content.manifest(exchange.repository, referenceOf(exchange));
  if (manifest === undefined || !accepts(exchange, manifest)) throw unknown(exchange);
  const etag = `"${manifest.digest}"`;
  const headers = { 'Content-Type': manifest.mediaType, 'Docker-Content-Digest': manifest.digest, ETag: etag };
  if (exchange.request.headers['if-none-match'] === etag) answerEmpty(exchange, 304, {});
  else answerBytes(exchange, headers, manifest.bytes);
}

export async function putManifest(exchange: Exchange): Promise<void> {
  const reference = referenceOf(exchange);
  const mediaType = exchange.request.headers['content-type']?.split(';', 1)[0]?.trim();
  const bytes = await readManifestBody(exchange);
  if (!mediaType) throw new Problem(400, 'MANIFEST_INVALID', 'no Content-Type');
  const manifest = exchange.content.putManifest(exchange.repository, reference, mediaType, bytes);
  const { subject } = readManifest(mediaType, bytes);
  answerEmpty(exchange, 201, {
    Location: `/v2/${exchange.repository}/manifests/${manifest.digest}`,
    'Docker-Content-Digest': manifest.digest,
    ...(subject !== undefined && exchange.referrers !== 'none' && { 'OCI-Subject': subject }),
  });
}

export function deleteManifest(exchange: Exchange): void {
  if (exchange.deletes === 'nothing') throw new Problem(405, 'UNSUPPORTED', 'the operation is unsupported');
  if (exchange.deletes === 'digests' && !exchange.argument.includes(':')) {
    throw new Problem(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  }
  if (!exchange.content.deleteManifest(exchange.repository, referenceOf(exchange))) throw unknown(exchange);
  answerEmpty(exchange, 202, {});
}

function referenceOf(exchange: Exchange): string {
  if (exchange.argument.includes(':')) return digestFrom(exchange.argument);
  if (tagPattern.test(exchange.argument)) return exchange.argument;
  throw new Problem(400, 'TAG_INVALID', 'manifest tag did not match URI');
}

function accepts(exchange: Exchange, manifest: Manifest): boolean {
  const accept = exchange.request.headers.accept;
  if (accept === undefined) return true;
  const types = accept.split(',').map((type) => type.split(';', 1)[0]?.trim());
  return ['*/*', 'application/*', manifest.mediaType].some((type) => types.includes(type));
}

function unknown(exchange: Exchange): Problem {
  return exchange.content.has(exchange.repository)
    ? new Problem(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
    : new Problem(404, 'NAME_UNKNOWN', 'repository name not known to registry');
}
