import {
  CompleteLayerUploadCommand,
  type ECRClient,
  ECRServiceException,
  InitiateLayerUploadCommand,
  InvalidLayerPartException,
  LayerAlreadyExistsException,
  UploadLayerPartCommand,
} from '@aws-sdk/client-ecr';
import type { ChunkTransport } from '../../core/copy/resumable-upload.ts';
import { atSite, type ErrorCode, TranshipError } from '../../core/model/errors.ts';
import { type Digest, formatRepository, type Repository } from '../../core/model/reference.ts';
import type { ChunkedUpload, ChunkedUploadOptions } from '../../core/registry/chunked-upload.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import { awsError } from './errors.ts';

/**
 * ECR's own way to upload a layer in parts, which its registry API does not have. Of at least 5 MiB but for the last one,
 * at most 20 MiB, and at most 4,200 of them.
 * https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html
 * https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
 */
const LEAST_PART = 5 * 1024 * 1024;
const MOST_PART = 20 * 1024 * 1024;
const MOST_PARTS = 4_000;

/**
 * Uploads of large blobs to private ECR registries by ECR's API, with the function's own role.
 * @param usesRole false where a login was configured: it may be of another account, and its rights are not the role's
 */
export function createEcrChunks(options: {
  clientFor: (region: string) => ECRClient;
  usesRole: (repository: Repository) => Promise<boolean>;
}): ChunkTransport {
  const { clientFor, usesRole } = options;
  return {
    takes: async (repository) => parseEcrHost(repository.registry) !== undefined && (await usesRole(repository)),
    async begin(repository, size, chunkOptions) {
      const layer = layerOf(repository, clientFor, chunkOptions);
      const { uploadId } = await layer.call((client, fields) => client.send(new InitiateLayerUploadCommand(fields)));
      if (uploadId === undefined) throw layer.fault('the response names no upload', { code: 'protocol' });
      return openParts(layer, uploadId, { from: 0, size, chunkOptions });
    },
    // The API does not say how far an upload is. The first part that does not fit tells.
    resume: async (repository, size, { location, offset }, chunkOptions) =>
      openParts(layerOf(repository, clientFor, chunkOptions), location, { from: offset, size, chunkOptions }),
  };
}

/** A layer of a repository, for calls of the API and their errors. */
interface Layer {
  digest: Digest;
  call<T>(send: (client: ECRClient, fields: RepositoryFields) => Promise<T>): Promise<T>;
  fault(what: string, options: { code: ErrorCode; cause?: unknown }): TranshipError;
}

interface RepositoryFields {
  registryId: string;
  repositoryName: string;
}

function layerOf(
  repository: Repository,
  clientFor: (region: string) => ECRClient,
  { digest }: ChunkedUploadOptions,
): Layer {
  const host = parseEcrHost(repository.registry);
  if (host === undefined) throw new Error(`${repository.registry} is no private ECR registry`);
  const site = { registry: repository.registry, repository: repository.repository, operation: 'put part' };
  return {
    digest,
    async call(send) {
      try {
        return await send(clientFor(host.region), { registryId: host.account, repositoryName: repository.repository });
      } catch (error) {
        if (error instanceof ECRServiceException && error.name in faults) throw error;
        throw atSite(awsError(`put part of ${formatRepository(repository)}@${digest}`, error), site);
      }
    },
    fault: (what, { code, cause }) =>
      new TranshipError(`put part of ${formatRepository(repository)}@${digest}: ${what}`, {
        class: 'transient',
        code,
        cause,
        ...site,
      }),
  };
}

function openParts(
  layer: Layer,
  uploadId: string,
  { from, size, chunkOptions }: { from: number; size: number; chunkOptions: ChunkedUploadOptions },
): ChunkedUpload {
  const { signal, chunkSignal = signal } = chunkOptions;
  let offset = from;

  async function put(part: Buffer): Promise<void> {
    const partLastByte = offset + part.length - 1;
    await layer.call((client, fields) =>
      client.send(
        new UploadLayerPartCommand({ ...fields, uploadId, partFirstByte: offset, partLastByte, layerPartBlob: part }),
        { abortSignal: chunkSignal },
      ),
    );
    offset += part.length;
  }

  return {
    location: () => uploadId,
    offset: () => offset,
    least: Math.max(LEAST_PART, Math.ceil(size / MOST_PARTS)),
    most: MOST_PART,
    async write(part) {
      try {
        await put(part);
      } catch (error) {
        // A worker that was killed sent more than it noted.
        const held = error instanceof InvalidLayerPartException ? (error.lastValidByteReceived ?? -1) + 1 : 0;
        const isHeld = held > offset && held <= offset + part.length;
        if (!isHeld) throw partFault(layer, error);
        const rest = part.subarray(held - offset);
        offset = held;
        if (rest.length > 0) await put(rest).catch((thrown: unknown) => Promise.reject(partFault(layer, thrown)));
      }
    },
    async finish() {
      try {
        await layer.call((client, fields) =>
          client.send(new CompleteLayerUploadCommand({ ...fields, uploadId, layerDigests: [layer.digest] }), {
            abortSignal: signal,
          }),
        );
      } catch (error) {
        if (!(error instanceof LayerAlreadyExistsException)) throw partFault(layer, error);
      }
    },
    // ECR forgets it by itself: the API has no call for that.
    cancel: async () => {},
  };
}

/** What ECR says of an upload that cannot go on. The next one may succeed. */
const faults: Record<string, ErrorCode> = {
  InvalidLayerException: 'digest-mismatch',
  InvalidLayerPartException: 'protocol',
  LayerAlreadyExistsException: 'protocol',
  LayerPartTooSmallException: 'protocol',
  EmptyUploadException: 'protocol',
  UploadNotFoundException: 'protocol',
};

function partFault(layer: Layer, error: unknown): unknown {
  if (!(error instanceof ECRServiceException)) return error;
  return layer.fault(`${error.name}: ${error.message}`, { code: faults[error.name] ?? 'protocol', cause: error });
}
