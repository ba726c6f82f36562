import { totalmem } from 'node:os';
import type { ResumableUploads } from '../../core/copy/resumable-upload.ts';
import type { Credentials } from '../../core/model/credentials.ts';
import { createSlots } from '../../core/model/slots.ts';
import { ecrUploadClient } from '../aws/ecr-clients.ts';
import { isLogin } from '../aws/ecr-credentials.ts';
import { createEcrChunks } from '../aws/ecr-uploads.ts';
import { readNumber } from '../aws/environment.ts';

/** Which blobs are uploaded in chunks, how long these are, how many are held, and how they go to ECR. */
export type Chunking = Pick<ResumableUploads, 'fromBytes' | 'chunkBytes' | 'chunkSlots' | 'transport'>;

/** Smaller blobs are read again where they break off: at the pace of a slow registry, 1 MB a second, in five minutes. */
const CHUNKED_FROM_BYTES = 256 * 1024 * 1024;
/** S3 takes no parts of less than 5 MiB, which registries store a chunk as. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** What a process takes beside chunks. */
const BASE_MEMORY_MB = 256;
/** Two chunks, which the SDK holds for ECR a second time, in Base64: 39 to 62 MB were measured, 18 for other registries. */
const UPLOAD_MEMORY_MB = 64;

/** How many uploads a process of so much memory has room for. */
function uploadsFor(memoryMb: number): number {
  return Math.max(1, Math.floor((memoryMb - BASE_MEMORY_MB) / UPLOAD_MEMORY_MB));
}

/** Of the function; elsewhere of the container or the machine. */
function memoryMb(): number {
  const mostBytes = Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem());
  return readNumber('AWS_LAMBDA_FUNCTION_MEMORY_SIZE', Math.floor(mostBytes / 1024 ** 2));
}

/** @param logins those that are configured; a repository of ECR without one goes by the role */
export function openChunking(logins: Credentials): Chunking {
  return {
    chunkSlots: createSlots(uploadsFor(memoryMb())),
    fromBytes: readNumber('TRANSHIP_CHUNKED_FROM_BYTES', CHUNKED_FROM_BYTES),
    chunkBytes: readNumber('TRANSHIP_CHUNK_BYTES', CHUNK_BYTES),
    transport: createEcrChunks({
      clientFor: ecrUploadClient,
      usesRole: async (repository) => !isLogin(await logins.lookup(repository)),
    }),
  };
}
