import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import {
  DOCKER_CONFIG,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../core/model/media-types.ts';
import { type Descriptor, type PushedManifest, type PushTarget, pushBlob, pushManifest } from './push.ts';
import { seededBytes } from './registry/generated-bytes.ts';

/** image-spec "Image Index", `platform`. */
export interface ImagePlatform {
  os: string;
  architecture: string;
  variant?: string;
  'os.version'?: string;
}

/** One layer: a gzipped tar of one file that does not compress. The same seed and size give the same layer anywhere. */
export interface LayerSpec {
  seed: string;
  /** Bytes of the file; the layer is a few hundred bytes larger. */
  bytes: number;
}

export type ImageFormat = 'oci' | 'docker';

export interface ImageOptions {
  /** Distinguishes this image's configuration from others'. */
  seed: string;
  /**
   * Default: one of 1000 bytes, after the seed. Empty for an image without layers; the same twice for a repeated one.
   */
  layers?: LayerSpec[];
  platform?: ImagePlatform;
  /** Default `oci`. */
  format?: ImageFormat;
  /** Without it, the image is put by its digest. */
  tag?: string;
  annotations?: Record<string, string>;
}

export interface PushedImage extends PushedManifest {
  platform: ImagePlatform;
  config: Descriptor;
  layers: Descriptor[];
}

export interface IndexEntry {
  manifest: Descriptor;
  platform?: ImagePlatform;
  annotations?: Record<string, string>;
}

export interface IndexOptions {
  entries: IndexEntry[];
  format?: ImageFormat;
  tag?: string;
  annotations?: Record<string, string>;
}

export const layerTypes: Record<ImageFormat, string> = {
  oci: 'application/vnd.oci.image.layer.v1.tar+gzip',
  docker: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
};

/** Makes an image of random bytes, the same for the same options, and pushes it: blobs, then the manifest. */
export async function pushImage(target: PushTarget, options: ImageOptions): Promise<PushedImage> {
  const { seed, format = 'oci', platform = { os: 'linux', architecture: 'amd64' } } = options;
  const built = (options.layers ?? [{ seed, bytes: 1000 }]).map(buildLayer);
  const layers: Descriptor[] = [];
  for (const layer of built) layers.push(await pushBlob(target, layerTypes[format], layer.bytes));
  const configBytes = Buffer.from(JSON.stringify(configOf(seed, platform, built)));
  const config = await pushBlob(target, format === 'oci' ? OCI_CONFIG : DOCKER_CONFIG, configBytes);
  const mediaType = format === 'oci' ? OCI_MANIFEST : DOCKER_MANIFEST;
  const annotations = options.annotations && { annotations: options.annotations };
  const body = { schemaVersion: 2, mediaType, config, layers, ...annotations };
  const manifest = await pushManifest(target, mediaType, body, { tag: options.tag });
  return { ...manifest, platform, config, layers };
}

/** Pushes an index, or Docker's manifest list, of manifests that are in the repository. */
export function pushIndex(target: PushTarget, options: IndexOptions): Promise<PushedManifest> {
  const mediaType = options.format === 'docker' ? DOCKER_LIST : OCI_INDEX;
  const manifests = options.entries.map(({ manifest, platform, annotations }) => ({
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.size,
    ...(platform && { platform }),
    ...(annotations && { annotations }),
  }));
  const annotations = options.annotations && { annotations: options.annotations };
  return pushManifest(
    target,
    mediaType,
    { schemaVersion: 2, mediaType, manifests, ...annotations },
    { tag: options.tag },
  );
}

/**
 * Pushes one image per platform and the index that names them.
 * @param options.platforms `os/architecture[/variant]`
 */
export async function pushMultiArch(
  target: PushTarget,
  options: Omit<ImageOptions, 'platform'> & { platforms: string[] },
): Promise<PushedManifest & { images: PushedImage[] }> {
  const { platforms, tag, annotations, ...image } = options;
  const images: PushedImage[] = [];
  for (const text of platforms) {
    const seed = `${options.seed}/${text}`;
    images.push(await pushImage(target, { ...image, seed, platform: platformOf(text) }));
  }
  const index = await pushIndex(target, {
    entries: images.map((manifest) => ({ manifest, platform: manifest.platform })),
    ...(options.format && { format: options.format }),
    ...(tag !== undefined && { tag }),
    ...(annotations && { annotations }),
  });
  return { ...index, images };
}

function platformOf(text: string): ImagePlatform {
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, ...(variant !== undefined && { variant }) };
}

interface BuiltLayer {
  bytes: Buffer;
  /** Digest of the tar before gzip (image-spec "Layer DiffID"). */
  diffId: string;
}

/** The bytes of a layer as they lie in a registry. */
export function buildLayer(spec: LayerSpec): BuiltLayer {
  const tar = tarOfOneFile(seededBytes(spec.seed, spec.bytes));
  return { bytes: gzipSync(tar, { level: 1 }), diffId: `sha256:${createHash('sha256').update(tar).digest('hex')}` };
}

function configOf(seed: string, platform: ImagePlatform, layers: BuiltLayer[]): object {
  return {
    ...platform,
    created: '2020-01-01T00:00:00Z',
    config: { Labels: { seed } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map(() => ({ created: '2020-01-01T00:00:00Z', created_by: 'testing/images.ts' })),
  };
}

/** POSIX ustar: one header, the bytes padded to blocks of 512, two empty blocks. */
function tarOfOneFile(bytes: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const write = (text: string, offset: number) => header.write(text, offset, 'latin1');
  write('data.bin', 0);
  write('0000644\0', 100);
  write('0000000\0', 108);
  write('0000000\0', 116);
  write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
  write('00000000000\0', 136);
  write('        ', 148);
  write('0', 156);
  write('ustar\0', 257);
  write('00', 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((512 - (bytes.length % 512)) % 512);
  return Buffer.concat([header, bytes, padding, Buffer.alloc(1024)]);
}
