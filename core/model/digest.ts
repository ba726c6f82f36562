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

/** A running hash in the algorithm of `digest`. */
export function hashFor(digest: Digest): Hash {
  return createHash(algorithmOf(digest));
}
