import { gzipSync } from 'node:zlib';
import { OCI_CONFIG, OCI_MANIFEST } from '../core/model/media-types.ts';
import { layerTypes, pushImage, pushMultiArch } from '../testing/images.ts';
import { type PushTarget, pushBlob, pushManifest } from '../testing/push.ts';
import { generatedBytes, seededBytes } from '../testing/registry/generated-bytes.ts';

/** What a source repository was filled with. */
export interface Content {
  tags: number;
  /** Of all distinct blobs together. */
  bytes: number;
}

const LAYERS_PER_BIG_IMAGE = 8;

/** Images of equally long layers, none of them shared. */
export async function pushBig(target: PushTarget, options: { mib: number; blobs: number }): Promise<Content> {
  const layerBytes = Math.floor((options.mib * 2 ** 20) / options.blobs);
  let bytes = 0;
  let tags = 0;
  for (let first = 0; first < options.blobs; first += LAYERS_PER_BIG_IMAGE) {
    const layers = [];
    for (let index = first; index < Math.min(first + LAYERS_PER_BIG_IMAGE, options.blobs); index += 1) {
      // Stored, not packed, in the gzip format: skopeo would pack a layer that is not.
      const content = gzipSync(Buffer.concat([...generatedBytes(`layer ${index}`, 0, layerBytes)]), { level: 0 });
      layers.push(await pushBlob(target, layerTypes.oci, content));
      bytes += content.length;
    }
    tags += 1;
    const config = await pushBlob(target, OCI_CONFIG, Buffer.from(JSON.stringify({ ...platform, tags })));
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
    await pushManifest(target, OCI_MANIFEST, manifest, { tag: `big-${tags}` });
  }
  return { tags, bytes };
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

/** Images for four platforms, nothing shared between tags. */
export async function pushIndexes(target: PushTarget, options: { tags: number }): Promise<Content> {
  const platforms = ['linux/amd64', 'linux/arm64', 'linux/arm/v7', 'linux/s390x'];
  let bytes = 0;
  for (let index = 0; index < options.tags; index += 1) {
    const layers = ['base', 'application'].map((part) => ({ seed: `${part} ${index}`, bytes: 40_000 }));
    const { images } = await pushMultiArch(target, { seed: `index ${index}`, tag: `v1.${index}`, platforms, layers });
    for (const { config, layers: own } of images) for (const { size } of [config, ...own]) bytes += size;
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
