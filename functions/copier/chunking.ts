import type { ResumableUploads } from '../../core/copy/resumable-upload.ts';
import type { Credentials } from '../../core/model/credentials.ts';
import { ecrUploadClient } from '../aws/ecr-clients.ts';
import { isLogin } from '../aws/ecr-credentials.ts';
import { createEcrChunks } from '../aws/ecr-uploads.ts';
import { readNumber } from '../aws/environment.ts';

/** Which blobs are uploaded in chunks, how long these are, and how they go to ECR. */
export type Chunking = Pick<ResumableUploads, 'fromBytes' | 'chunkBytes' | 'transport'>;

/** Smaller blobs are read again where they break off: at the pace of a slow registry, 1 MB a second, in five minutes. */
const CHUNKED_FROM_BYTES = 256 * 1024 * 1024;
/** S3 takes no parts of less than 5 MiB, which registries store a chunk as. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** @param logins those that are configured; a repository of ECR without one goes by the role */
export function openChunking(logins: Credentials): Chunking {
  return {
    fromBytes: readNumber('TRANSHIP_CHUNKED_FROM_BYTES', CHUNKED_FROM_BYTES),
    chunkBytes: readNumber('TRANSHIP_CHUNK_BYTES', CHUNK_BYTES),
    transport: createEcrChunks({
      clientFor: ecrUploadClient,
      usesRole: async (repository) => !isLogin(await logins.lookup(repository)),
    }),
  };
}
