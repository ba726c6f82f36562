import pLimit from 'p-limit';
import { contentOf } from '../copy/content.ts';
import type { Descriptor, Platform } from '../model/manifest.ts';
import type { Target } from '../model/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import { getManifest } from '../registry/manifests.ts';
import type { InsideView } from './view.ts';

const MOST_IMAGES = 20;
const READS_AT_ONCE = 4;

type Image = InsideView['images'][number];

/**
 * Reads what a registry has of an image: one manifest, and those of the first 20 platforms of an index.
 * @throws TranshipError as `getManifest`
 */
export async function lookInside(client: RegistryClient, target: Target, signal: AbortSignal): Promise<InsideView> {
  const manifest = await getManifest(client, target, { signal });
  const { digest, mediaType } = manifest;
  const content = contentOf(target, manifest);
  if (content.kind === 'image') {
    const image = imageOf(digest, content.platform, content.blobs, content.config);
    return { digest, mediaType, images: [image], isCut: false, signatures: null };
  }
  const children = content.children.filter((child) => !isAttestation(child));
  const parallel = pLimit(READS_AT_ONCE);
  const images = children
    .slice(0, MOST_IMAGES)
    .map((child) => parallel(() => readChild(client, target, child, signal)));
  return {
    digest,
    mediaType,
    images: await Promise.all(images),
    isCut: children.length > MOST_IMAGES,
    signatures: content.children
      .filter(isAttestation)
      .map((child) => ({ kind: 'attestation in the index', digest: child.digest })),
  };
}

async function readChild(
  client: RegistryClient,
  { registry, repository }: Target,
  child: Descriptor,
  signal: AbortSignal,
): Promise<Image> {
  const target = { registry, repository, digest: child.digest };
  const content = contentOf(target, await getManifest(client, target, { signal }));
  if (content.kind === 'index') return imageOf(child.digest, child.platform, content.blobs, undefined);
  return imageOf(child.digest, child.platform ?? content.platform, content.blobs, content.config);
}

function imageOf(
  digest: string,
  platform: Platform | undefined,
  blobs: readonly Descriptor[],
  config: Descriptor | undefined,
): Image {
  const sizes = blobs.map((blob) => ({ digest: blob.digest, size: blob.size ?? 0 }));
  return {
    digest,
    platform: platformText(platform),
    size: sizes.reduce((sum, { size }) => sum + size, 0),
    layers: sizes.filter((blob) => blob.digest !== config?.digest),
  };
}

/** BuildKit puts attestations into an index as images of an unknown platform. */
function isAttestation({ annotations }: Descriptor): boolean {
  return annotations?.['vnd.docker.reference.type'] !== undefined;
}

function platformText(platform: Platform | undefined): string {
  if (platform === undefined) return '';
  return [platform.os, platform.architecture, platform.variant].filter((part) => part !== undefined).join('/');
}
