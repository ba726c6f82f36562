import { createHash, type Hash, hash } from 'node:crypto';
import type { Digest } from './reference.ts';

/** The algorithms of the image specification that registries use ("Registered Algorithms"). */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** The algorithm that a validated digest names. */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${hash(algorithm, bytes)}`;
}

/** The digest of bytes that are in several parts. */
export function digestOfParts(parts: readonly Uint8Array[], algorithm: DigestAlgorithm): Digest {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return digestOf(only, algorithm);
  const running = createHash(algorithm);
  for (const part of parts) running.update(part);
  return `${algorithm}:${running.digest('hex')}`;
}

/** A running hash in the algorithm of `digest`. */
export function hashFor(digest: Digest): Hash {
  return createHash(algorithmOf(digest));
}
