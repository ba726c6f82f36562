import { gzipSync } from 'node:zlib';
import { OCI_CONFIG, OCI_MANIFEST } from '../core/model/media-types.ts';
import { layerTypes, type PushedImage, pushImage, pushIndex } from '../testing/images.ts';
import { type PushTarget, pushBlob, pushManifest } from '../testing/push.ts';
import { generatedBytes, seededBytes } from '../testing/registry/generated-bytes.ts';

/** What a source repository was filled with. */
export interface Content {
  tags: number;
  /** Of all distinct blobs together. */
  bytes: number;
}

const BIG_LAYERS = 4;

/**
 * An image in each of the repositories, of equally long layers. The first is the same in all of them: a client that mounts
 * moves it once.
 * @param options.mib all layers of all images
 */
export async function pushBig(
  target: Omit<PushTarget, 'repository'>,
  options: { mib: number; repositories: string[] },
): Promise<Content> {
  const { mib, repositories } = options;
  const layerBytes = Math.floor((mib * 2 ** 20) / repositories.length / BIG_LAYERS);
  // Stored, not packed, in the gzip format: skopeo would pack a layer that is not.
  const layerOf = (seed: string) => gzipSync(Buffer.concat([...generatedBytes(seed, 0, layerBytes)]), { level: 0 });
  const base = layerOf('base');
  for (const repository of repositories) {
    const own = { ...target, repository };
    const layers = [await pushBlob(own, layerTypes.oci, base)];
    for (let index = 1; index < BIG_LAYERS; index += 1)
      layers.push(await pushBlob(own, layerTypes.oci, layerOf(`layer ${index} of ${repository}`)));
    const config = await pushBlob(own, OCI_CONFIG, Buffer.from(JSON.stringify({ ...platform, repository })));
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
    await pushManifest(own, OCI_MANIFEST, manifest, { tag: 'v1' });
  }
  const bytes = base.length * (1 + (BIG_LAYERS - 1) * repositories.length);
  return { tags: repositories.length, bytes };
}

const platform = { os: 'linux', architecture: 'amd64' };

/** Images of three layers of a few KiB; two of the three are the same in all of them. */
export async function pushSmall(target: PushTarget, options: { tags: number }): Promise<Content> {
  const base = [
    { seed: 'base', bytes: 16_000 },
    { seed: 'runtime', bytes: 8000 },
  ];
  const blobs = new Map<string, number>();
  for (let index = 0; index < options.tags; index += 1) {
    const layers = [...base, { seed: `application ${index}`, bytes: 4000 }];
    const image = await pushImage(target, { seed: String(index), layers, tag: `v1.${index}` });
    for (const { digest, size } of [image.config, ...image.layers]) blobs.set(digest, size);
  }
  const bytes = [...blobs.values()].reduce((sum, size) => sum + size, 0);
  return { tags: options.tags, bytes };
}

/** Images for four platforms with eight layers of 400 KiB each, nothing shared between platforms or tags. */
export async function pushIndexes(target: PushTarget, options: { tags: number }): Promise<Content> {
  const architectures = ['amd64', 'arm64', 'ppc64le', 's390x'];
  let bytes = 0;
  for (let index = 0; index < options.tags; index += 1) {
    const images: PushedImage[] = [];
    for (const architecture of architectures) {
      const seed = `${architecture} ${index}`;
      const layers = Array.from({ length: 8 }, (_, layer) => ({ seed: `${seed} ${layer}`, bytes: 400 * 1024 }));
      images.push(await pushImage(target, { seed, layers, platform: { os: 'linux', architecture } }));
    }
    const entries = images.map((manifest) => ({ manifest, platform: manifest.platform }));
    await pushIndex(target, { entries, tag: `v1.${index}` });
    for (const { config, layers } of images) for (const { size } of [config, ...layers]) bytes += size;
  }
  return { tags: options.tags, bytes };
}

/** Many tags, each with a manifest of its own, over the same few blobs: what matters is that there are many. */
export async function pushManyTags(target: PushTarget, options: { tags: number }): Promise<Content> {
  const config = await pushBlob(target, OCI_CONFIG, Buffer.from(JSON.stringify(platform)));
  const layer = await pushBlob(target, layerTypes.oci, seededBytes('layer', 1000));
  for (let index = 0; index < options.tags; index += 1) {
    const annotations = { 'org.opencontainers.image.version': `1.${index}` };
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer], annotations };
    await pushManifest(target, OCI_MANIFEST, manifest, { tag: `v1.${index}` });
  }
  return { tags: options.tags, bytes: config.size + layer.size };
}
