import { createHash, type Hash, randomUUID } from 'node:crypto';
import { generatedBytes } from './generated-bytes.ts';
import { readManifest } from './manifest-parts.ts';
import { Problem } from './problem.ts';

/** A blob's bytes, wherever they are: read in order, as often as wanted. */
export interface Blob {
  digest: string;
  size: number;
  /** Bytes `start` to `end`, exclusive. */
  read(start: number, end: number): Iterable<Buffer>;
}

export interface Manifest {
  digest: string;
  mediaType: string;
  bytes: Buffer;
}

interface Repository {
  blobs: Map<string, Blob>;
  manifests: Map<string, Manifest>;
  /** Tag to digest. */
  tags: Map<string, string>;
}

/** An upload under way. What came stays when the connection breaks, so that it can be resumed. */
export interface Upload {
  id: string;
  repository: string;
  size: number;
  chunks: Buffer[];
  sha256: Hash;
}

/** What becomes of a manifest that names something the registry does not have, other than what the specification says. */
export type Lacking = 'invalid' | 'taken';

/** All that a registry holds, with its rules and without HTTP. */
export type Content = ReturnType<typeof createContent>;

/**
 * An empty content.
 * @param options.discard count and check the bytes of uploaded blobs but do not keep them: for measuring memory.
 *   Reading such a blob is an error.
 */
export function createContent(options: { discard?: boolean; lacking?: Lacking } = {}) {
  const repositories = new Map<string, Repository>();
  const uploads = new Map<string, Upload>();

  function repositoryOf(name: string): Repository {
    const repository = repositories.get(name) ?? { blobs: new Map(), manifests: new Map(), tags: new Map() };
    repositories.set(name, repository);
    return repository;
  }

  function addBlob(name: string, bytes: Buffer, algorithm: 'sha256' | 'sha512' = 'sha256'): Blob {
    return keep(name, blobOfChunks(digestOf(bytes, algorithm), [bytes], bytes.length));
  }

  /** A blob of any size whose bytes are worked out anew at each reading. */
  function addGeneratedBlob(name: string, seed: string, size: number): Blob {
    const hash = createHash('sha256');
    for (const chunk of generatedBytes(seed, 0, size)) hash.update(chunk);
    const digest = `sha256:${hash.digest('hex')}`;
    return keep(name, { digest, size, read: (start, end) => generatedBytes(seed, start, end) });
  }

  function keep(name: string, blob: Blob): Blob {
    repositoryOf(name).blobs.set(blob.digest, blob);
    return blob;
  }

  function mountBlob(name: string, digest: string, from: string): Blob | undefined {
    const blob = repositories.get(from)?.blobs.get(digest);
    return blob && keep(name, blob);
  }

  function startUpload(name: string): Upload {
    const upload = { id: randomUUID(), repository: name, size: 0, chunks: [], sha256: createHash('sha256') };
    uploads.set(upload.id, upload);
    return upload;
  }

  function findUpload(name: string, id: string): Upload {
    const upload = uploads.get(id);
    if (upload?.repository === name) return upload;
    throw new Problem(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  }

  function appendToUpload(upload: Upload, chunk: Buffer): void {
    upload.size += chunk.length;
    upload.sha256.update(chunk);
    if (!options.discard) upload.chunks.push(chunk);
  }

  /** The upload becomes a blob where it has the digest it should have; it ends in any case. */
  function finishUpload(upload: Upload, digest: string): Blob {
    uploads.delete(upload.id);
    if (actualDigest(upload, digest) !== digest) {
      throw new Problem(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
    }
    if (options.discard) return keep(upload.repository, { digest, size: upload.size, read: refuseDiscarded });
    return keep(upload.repository, blobOfChunks(digest, upload.chunks, upload.size));
  }

  function actualDigest(upload: Upload, wanted: string): string {
    if (wanted.startsWith('sha256:')) return `sha256:${upload.sha256.digest('hex')}`;
    if (options.discard) throw new Problem(400, 'UNSUPPORTED', 'only sha256 where bytes are discarded');
    const hash = createHash('sha512');
    for (const chunk of upload.chunks) hash.update(chunk);
    return `sha512:${hash.digest('hex')}`;
  }

  /**
   * Stores a manifest and points a tag to it.
   * @param reference a tag, or the digest the manifest must have
   * @throws MANIFEST_BLOB_UNKNOWN where something it names is not in the repository; a subject need not be
   */
  function putManifest(name: string, reference: string, mediaType: string, bytes: Buffer): Manifest {
    const parts = readManifest(mediaType, bytes);
    const repository = repositoryOf(name);
    const missing = [
      ...parts.blobs.filter((digest) => !repository.blobs.has(digest)),
      ...parts.manifests.filter((digest) => !repository.manifests.has(digest)),
    ];
    if (missing.length > 0 && options.lacking !== 'taken') {
      if (options.lacking === 'invalid') throw new Problem(400, 'MANIFEST_INVALID', 'manifest invalid');
      throw new Problem(400, 'MANIFEST_BLOB_UNKNOWN', `blob unknown to registry: ${missing.join(', ')}`);
    }
    const byDigest = reference.includes(':');
    const algorithm = reference.startsWith('sha512:') ? 'sha512' : 'sha256';
    const digest = digestOf(parts.signedBytes, algorithm);
    if (byDigest && digest !== reference) {
      throw new Problem(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
    }
    const manifest = { digest, mediaType, bytes };
    repository.manifests.set(digest, manifest);
    if (!byDigest) repository.tags.set(reference, digest);
    return manifest;
  }

  function manifest(name: string, reference: string): Manifest | undefined {
    const repository = repositories.get(name);
    const digest = reference.includes(':') ? reference : repository?.tags.get(reference);
    return digest === undefined ? undefined : repository?.manifests.get(digest);
  }

  /** By tag: only the tag goes. By digest: the manifest goes, with all its tags. */
  function deleteManifest(name: string, reference: string): boolean {
    const repository = repositories.get(name);
    if (repository === undefined) return false;
    if (!reference.includes(':')) return repository.tags.delete(reference);
    for (const [tag, digest] of repository.tags) if (digest === reference) repository.tags.delete(tag);
    return repository.manifests.delete(reference);
  }

  return {
    /** Names of all repositories, sorted. */
    repositories: () => [...repositories.keys()].sort(),
    has: (name: string) => repositories.has(name),
    /** Tags of a repository in lexical order; none where there is no such repository. */
    tags: (name: string) => [...(repositories.get(name)?.tags.keys() ?? [])].sort(),
    manifest,
    manifests: (name: string) => [...(repositories.get(name)?.manifests.values() ?? [])],
    putManifest,
    deleteManifest,
    blob: (name: string, digest: string) => repositories.get(name)?.blobs.get(digest),
    hasBlob: (name: string, digest: string) => repositories.get(name)?.blobs.has(digest) ?? false,
    addBlob,
    addGeneratedBlob,
    mountBlob,
    deleteBlob: (name: string, digest: string) => repositories.get(name)?.blobs.delete(digest) ?? false,
    startUpload,
    findUpload,
    appendToUpload,
    finishUpload,
    cancelUpload: (upload: Upload) => uploads.delete(upload.id),
    /** Uploads begun and neither finished nor cancelled. */
    openUploads: () => uploads.size,
  };
}

export function digestOf(bytes: Buffer, algorithm: 'sha256' | 'sha512' = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

function blobOfChunks(digest: string, chunks: Buffer[], size: number): Blob {
  return {
    digest,
    size,
    *read(start, end) {
      let position = 0;
      for (const chunk of chunks) {
        const from = Math.max(start - position, 0);
        const to = Math.min(end - position, chunk.length);
        if (from < to) yield chunk.subarray(from, to);
        position += chunk.length;
      }
    },
  };
}

function refuseDiscarded(): never {
  throw new Problem(404, 'BLOB_UNKNOWN', 'this registry keeps no bytes');
}
