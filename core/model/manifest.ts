import { TranshipError } from './errors.ts';
import {
  DOCKER_CONFIG,
  isForeignLayerType,
  isIndexType,
  isManifestType,
  isSchema1Type,
  OCI_ARTIFACT,
  OCI_CONFIG,
} from './media-types.ts';
import { type Digest, isDigest } from './reference.ts';

/** A platform as descriptors and image configurations write it (image-spec "Image Index", `platform`). */
export interface Platform {
  os?: string;
  'os.version'?: string;
  architecture?: string;
  variant?: string;
}

/** A validated content descriptor (image-spec "OCI Content Descriptors"). */
export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** Bytes; undefined only for schema 1 layers, which do not say. */
  size: number | undefined;
  platform?: Platform;
  annotations?: Record<string, string>;
  /** In a list of referrers: what the artifact is. */
  artifactType?: string;
  /** Where else its bytes are to be had. */
  urls?: string[];
  /** Its bytes themselves, in base64 (image-spec "Embedded Content"). */
  data?: string;
}

/**
 * Whether a layer stays where its `urls` lead. One of such a type without any is in its registry like others: image
 * builders are known to write the type alone.
 */
export function staysElsewhere({ mediaType, urls = [] }: Descriptor): boolean {
  return isForeignLayerType(mediaType) && urls.length > 0;
}

/** What a manifest names, which is what must be at the destination before it. */
export type ManifestContent =
  | {
      kind: 'index';
      /** In the order of the document, duplicates kept. */
      children: Descriptor[];
      /** Entries of an index that are no manifests: BuildKit's registry cache lists its layers there. */
      blobs: Descriptor[];
    }
  | {
      kind: 'image';
      /** Configuration and layers, each digest once, without the layers that stay where they are. */
      blobs: Descriptor[];
      /** Where the platform is written: an image's configuration, none for artifacts. */
      config?: Descriptor;
      /** Schema 1 says its architecture in the manifest itself. */
      platform?: Platform;
    };

/** More entries than any real image has; within 4 MiB a manifest could name 30,000. */
const MAX_DESCRIPTORS = 20_000;

type Json = Record<string, unknown>;

/**
 * The content of a manifest whose bytes are verified already.
 * Unknown media types are read by structure, since registries accept artifacts of any type.
 * @throws TranshipError `bad-manifest`, permanent
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): ManifestContent {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw bad('it is not JSON in UTF-8', cause);
  }
  if (!isObject(document)) throw bad('it is not a JSON object');
  if (isSchema1Type(mediaType)) return parseSchema1(document);
  // CVE-2021-41190: one document must not be an index to one reader and an image to another.
  if ('manifests' in document && 'layers' in document) throw bad('it has both `manifests` and `layers`');
  if (isIndexType(mediaType)) return parseIndex(document);
  if (mediaType === OCI_ARTIFACT) return { kind: 'image', blobs: distinctBlobs(descriptors(document, 'blobs')) };
  return parseImage(document);
}

function parseIndex(document: Json): ManifestContent {
  const all = descriptors(document, 'manifests');
  return {
    kind: 'index',
    children: all.filter((entry) => isManifestType(entry.mediaType)),
    blobs: distinctBlobs(all.filter((entry) => !isManifestType(entry.mediaType))),
  };
}

function parseImage(document: Json): ManifestContent {
  if (document.config === undefined) throw bad('it has no `config`');
  const config = descriptor(document.config, '`config`');
  const layers = descriptors(document, 'layers');
  const isImage = config.mediaType === OCI_CONFIG || config.mediaType === DOCKER_CONFIG;
  return { kind: 'image', blobs: distinctBlobs([config, ...layers]), ...(isImage && { config }) };
}

/** Docker image manifest version 2, schema 1 (distribution's docs, "Image Manifest Version 2, Schema 1"). */
function parseSchema1(document: Json): ManifestContent {
  const layers = document.fsLayers;
  if (!Array.isArray(layers) || layers.length > MAX_DESCRIPTORS) throw bad('its `fsLayers` is not a list');
  const blobs = layers.map((layer, index): Descriptor => {
    const digest = isObject(layer) ? layer.blobSum : undefined;
    if (typeof digest !== 'string' || !isDigest(digest)) throw bad(`fsLayers[${index}] has no valid blobSum`);
    return { mediaType: 'application/octet-stream', digest, size: undefined };
  });
  const architecture = document.architecture;
  return {
    kind: 'image',
    blobs: distinctBlobs(blobs),
    ...(typeof architecture === 'string' && { platform: { architecture } }),
  };
}

function descriptors(document: Json, key: string): Descriptor[] {
  const list = document[key] ?? [];
  if (!Array.isArray(list)) throw bad(`its \`${key}\` is not a list`);
  if (list.length > MAX_DESCRIPTORS) throw bad(`its \`${key}\` has more than ${MAX_DESCRIPTORS} entries`);
  return list.map((entry, index) => descriptor(entry, `${key}[${index}]`));
}

function descriptor(value: unknown, where: string): Descriptor {
  if (!isObject(value)) throw bad(`${where} is not a descriptor`);
  const { mediaType, digest, size, platform, annotations, artifactType, urls, data } = value;
  if (typeof digest !== 'string' || !isDigest(digest)) throw bad(`${where} has no valid digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw bad(`${where} has no valid size`);
  // Docker's oldest schema 2 manifests name no media type for a layer; the bytes are copied all the same.
  const type = typeof mediaType === 'string' ? mediaType : 'application/octet-stream';
  return {
    mediaType: type,
    digest,
    size,
    ...(isObject(platform) && { platform: platformOf(platform) }),
    ...(isObject(annotations) && { annotations: stringsOf(annotations) }),
    ...(typeof artifactType === 'string' && { artifactType }),
    ...(Array.isArray(urls) && { urls: urls.filter((url) => typeof url === 'string') }),
    ...(typeof data === 'string' && { data }),
  };
}

/** What a manifest says of itself as an artifact that refers to another manifest. */
export interface ArtifactParts {
  subject: Digest | undefined;
  /** Its own, or that of its configuration, as the distribution specification has it ("Listing Referrers"). */
  artifactType: string;
  annotations: Record<string, string> | undefined;
}

/** Reads {@link ArtifactParts}; the bytes have been parsed as a manifest before. */
export function parseArtifact(bytes: Uint8Array): ArtifactParts {
  const document: unknown = JSON.parse(new TextDecoder().decode(bytes));
  const { subject, artifactType, config, annotations } = isObject(document) ? document : {};
  const digest = isObject(subject) ? subject.digest : undefined;
  const own = typeof artifactType === 'string' ? artifactType : '';
  const configType = isObject(config) && typeof config.mediaType === 'string' ? config.mediaType : '';
  return {
    subject: typeof digest === 'string' && isDigest(digest) ? digest : undefined,
    artifactType: own === '' ? configType : own,
    annotations: isObject(annotations) ? stringsOf(annotations) : undefined,
  };
}

/**
 * The layers of an image manifest, each entry: signatures of one text share its bytes, and differ in annotations.
 * @throws TranshipError `bad-manifest`
 */
export function parseLayers(bytes: Uint8Array): Descriptor[] {
  const document: unknown = JSON.parse(new TextDecoder().decode(bytes));
  return isObject(document) ? descriptors(document, 'layers') : [];
}

/**
 * A list of referrers: a page of the API's, or the index behind a referrers tag. Entries that are no descriptors are
 * left out, and those beyond `most`.
 * @returns undefined where it is no index
 */
export function parseReferrers(bytes: Uint8Array, most: number): { entries: Descriptor[]; isCut: boolean } | undefined {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  const list = isObject(document) ? document.manifests : undefined;
  if (!Array.isArray(list)) return list === null ? { entries: [], isCut: false } : undefined;
  const entries: Descriptor[] = [];
  for (const [index, value] of list.entries()) {
    if (entries.length === most) return { entries, isCut: true };
    try {
      entries.push(descriptor(value, `manifests[${index}]`));
    } catch {
      // An entry that is none cannot be asked for.
    }
  }
  return { entries, isCut: false };
}

function platformOf(value: Json): Platform {
  const platform: Platform = {};
  for (const key of ['os', 'os.version', 'architecture', 'variant'] as const) {
    const text = value[key];
    if (typeof text === 'string' && text !== '') platform[key] = text;
  }
  return platform;
}

/** `os` and `architecture` of an image configuration (image-spec "Image Configuration"). */
export function parseConfigPlatform(bytes: Uint8Array): Platform {
  try {
    const document: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (isObject(document)) return platformOf(document);
  } catch (cause) {
    throw bad('its configuration is not JSON', cause);
  }
  throw bad('its configuration is not a JSON object');
}

function distinctBlobs(list: Descriptor[]): Descriptor[] {
  const byDigest = new Map<Digest, Descriptor>();
  for (const entry of list) {
    if (staysElsewhere(entry)) continue;
    const same = byDigest.get(entry.digest);
    if (same !== undefined && same.size !== entry.size) throw bad(`it gives two sizes for ${entry.digest}`);
    if (same === undefined) byDigest.set(entry.digest, entry);
  }
  return [...byDigest.values()];
}

function stringsOf(value: Json): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(what: string, cause?: unknown): TranshipError {
  return new TranshipError(`the manifest cannot be used: ${what}`, { class: 'permanent', code: 'bad-manifest', cause });
}
