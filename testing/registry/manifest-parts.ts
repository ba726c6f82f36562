import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  isForeignLayerType,
  OCI_ARTIFACT,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../core/model/media-types.ts';
import { Problem } from './problem.ts';

/** What a registry must know of a manifest before it takes it. */
export interface ManifestParts {
  /** Digests it cannot be without. */
  blobs: string[];
  manifests: string[];
  subject: string | undefined;
  artifactType: string | undefined;
  annotations: Record<string, string> | undefined;
  /** What the digest is made of: all bytes, but of a signed schema 1 manifest the signed ones. */
  signedBytes: Buffer;
}

interface Descriptor {
  mediaType?: string;
  digest: string;
  urls?: string[];
}

interface ManifestJson {
  mediaType?: string;
  artifactType?: string;
  config?: Descriptor;
  layers?: Descriptor[];
  blobs?: Descriptor[];
  manifests?: Descriptor[];
  fsLayers?: Array<{ blobSum: string }>;
  signatures?: Array<{ protected: string }>;
  subject?: Descriptor;
  annotations?: Record<string, string>;
}

/** @throws MANIFEST_INVALID for what is not JSON, says it is another type, or lacks what its type must have */
export function readManifest(mediaType: string, bytes: Buffer): ManifestParts {
  const manifest = parse(bytes);
  if (manifest.mediaType !== undefined && manifest.mediaType !== mediaType) {
    throw invalid(`sent as ${mediaType}, says it is ${manifest.mediaType}`);
  }
  const common = {
    subject: manifest.subject?.digest,
    artifactType: manifest.artifactType ?? manifest.config?.mediaType,
    annotations: manifest.annotations,
    signedBytes: bytes,
  };
  switch (mediaType) {
    case OCI_INDEX:
    case DOCKER_LIST:
      return { ...common, blobs: [], manifests: needed(manifest.manifests, 'manifests') };
    case OCI_MANIFEST:
    case DOCKER_MANIFEST:
      return {
        ...common,
        blobs: [...needed(manifest.config && [manifest.config], 'config'), ...needed(manifest.layers, 'layers')],
        manifests: [],
      };
    case OCI_ARTIFACT:
      return { ...common, blobs: needed(manifest.blobs ?? [], 'blobs'), manifests: [] };
    case DOCKER_SCHEMA1:
    case DOCKER_SCHEMA1_SIGNED: {
      const layers = manifest.fsLayers?.map((layer) => ({ digest: layer.blobSum }));
      return {
        ...common,
        blobs: needed(layers, 'fsLayers'),
        manifests: [],
        signedBytes: mediaType === DOCKER_SCHEMA1 ? bytes : signedPayload(manifest, bytes),
      };
    }
    default:
      throw invalid(`unknown media type ${mediaType}`);
  }
}

function parse(bytes: Buffer): ManifestJson {
  try {
    const json: unknown = JSON.parse(bytes.toString());
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json;
  } catch {
    throw invalid('not JSON');
  }
  throw invalid('not an object');
}

/** Digests that must be in the repository: all but those of layers that live elsewhere. */
function needed(descriptors: Descriptor[] | undefined, field: string): string[] {
  if (!Array.isArray(descriptors)) throw invalid(`no ${field}`);
  return descriptors
    .filter((one) => !(one.urls?.length && isForeignLayerType(one.mediaType ?? '')))
    .map((one) => one.digest);
}

/**
 * docker/libtrust "Pretty Signature": the first `formatLength` bytes and `formatTail`, as the JWS's protected header
 * says.
 */
function signedPayload(manifest: ManifestJson, bytes: Buffer): Buffer {
  try {
    const header = JSON.parse(Buffer.from(manifest.signatures?.[0]?.protected ?? '', 'base64url').toString());
    const tail = Buffer.from(String(header.formatTail), 'base64url');
    return Buffer.concat([bytes.subarray(0, Number(header.formatLength)), tail]);
  } catch {
    throw invalid('no signature that can be read');
  }
}

function invalid(message: string): Problem {
  return new Problem(400, 'MANIFEST_INVALID', `manifest invalid: ${message}`);
}
