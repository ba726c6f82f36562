import type { Digest, Repository } from '../../model/reference.ts';

/** How far the upload of a large blob has come, for the worker that goes on with it. Holds no login. */
export interface UploadProgress {
  destination: Repository;
  digest: Digest;
  /** What the registry knows the upload by, opaque: a URL. Whoever uses it checks it as a registry's `Location`. */
  location: string;
  /** Bytes at the start of the blob that were uploaded, and that `hashState` covers. */
  offset: number;
  /** State of the running hash after these bytes. As private as the blob. */
  hashState: Uint8Array;
  /** The registry's own least length of a chunk that is not the last, where it has one. */
  leastChunkBytes?: number;
  /** Epoch ms of the last chunk. */
  at: number;
}

/** Which uploads are unfinished. What is lost here is uploaded anew. */
export interface UploadProgressStore {
  /** Replaces what is known of the blob at that destination. */
  saveUpload(progress: UploadProgress): Promise<void>;
  /** Undefined where none is known, or the last chunk was {@link UPLOAD_KEPT_MS} ago: registries delete such uploads. */
  readUpload(destination: Repository, digest: Digest): Promise<UploadProgress | undefined>;
  forgetUpload(destination: Repository, digest: Digest): Promise<void>;
}

/** CNCF distribution deletes an upload a week after its beginning ("uploadpurging", its default). */
export const UPLOAD_KEPT_MS = 7 * 24 * 3_600_000;
