import { isDeepStrictEqual } from 'node:util';
import { algorithmOf, digestOf } from '../model/digest.ts';
import type { Digest } from '../model/reference.ts';

/**
 * Digest of a manifest's bytes. For a signed schema 1 manifest that is the digest of the payload without its
 * signatures, which is how registries name it.
 *
 * @see distribution's docs, "Image Manifest Version 2, Schema 1", "Signed Manifests"
 */
export function manifestDigest(bytes: Uint8Array, algorithm: 'sha256' | 'sha512'): Digest {
  return digestOf(signedPayload(bytes) ?? bytes, algorithm);
}

/** True where the bytes have that digest; for a signed schema 1 manifest, where all bytes or the payload have it. */
export function hasDigest(bytes: Uint8Array, digest: Digest): boolean {
  const algorithm = algorithmOf(digest);
  return digestOf(bytes, algorithm) === digest || manifestDigest(bytes, algorithm) === digest;
}

/** The bytes that a JSON web signature with libtrust's framing signs; undefined where there are no signatures. */
function signedPayload(bytes: Uint8Array): Uint8Array | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Saves parsing every other manifest.
  if (!buffer.includes('"signatures"') || !buffer.includes('"fsLayers"')) return undefined;
  try {
    const { signatures, ...document } = JSON.parse(buffer.toString('utf8'));
    if (document.schemaVersion !== 1 || !Array.isArray(signatures)) return undefined;
    const header = JSON.parse(Buffer.from(signatures[0].protected, 'base64url').toString('utf8'));
    const { formatLength, formatTail } = header;
    if (!Number.isSafeInteger(formatLength) || formatLength < 0 || formatLength > buffer.length) return undefined;
    const payload = Buffer.concat([buffer.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
    // The signatures say where the payload is cut, and anyone can write them. The payload must equal the document, or
    // any content could pass under a pinned digest.
    return isDeepStrictEqual(JSON.parse(payload.toString('utf8')), document) ? payload : undefined;
  } catch {
    // Not signed as libtrust does it: the digest is that of all bytes.
    return undefined;
  }
}
