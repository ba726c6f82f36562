import { contentOf } from '../copy/content.ts';
import type { Descriptor, Platform } from '../model/manifest.ts';
import type { Digest, Repository, Target } from '../model/reference.ts';
import { referrersTag, siblingSuffixes } from '../model/referrer.ts';
import { createSlots } from '../model/slots.ts';
import type { RegistryClient } from '../registry/client.ts';
import { getManifest, headManifest } from '../registry/manifests.ts';
import { listReferrers } from '../registry/referrers.ts';
import type { InsideView } from './view.ts';

const MOST_IMAGES = 20;
const READS_AT_ONCE = 4;

type Image = InsideView['images'][number];

/**
 * Reads what a registry has of an image: its manifest, those of the first 20 platforms of an index, and what refers to
 * it.
 * @throws TranshipError as `getManifest`
 */
export async function lookInside(client: RegistryClient, target: Target, signal: AbortSignal): Promise<InsideView> {
  const manifest = await getManifest(client, target, { signal });
  const { digest, mediaType } = manifest;
  const content = contentOf(target, manifest);
  const signatures = await findSignatures(client, target, digest, signal);
  if (content.kind === 'image') {
    const image = imageOf(digest, content.platform, content.blobs, content.config);
    return { digest, mediaType, images: [image], isCut: false, signatures };
  }
  const children = content.children.filter((child) => !isAttestation(child));
  const slots = createSlots(READS_AT_ONCE);
  const images = children.slice(0, MOST_IMAGES).map((child) => slots(() => readChild(client, target, child, signal)));
  const inIndex = content.children.filter(isAttestation);
  return {
    digest,
    mediaType,
    images: await Promise.all(images),
    isCut: children.length > MOST_IMAGES,
    signatures: [
      ...signatures,
      ...inIndex.map((child) => ({ kind: 'attestation in the index', digest: child.digest })),
    ],
  };
}

/** By the registry's list of referrers, by the index that stands in for it, and by cosign's tags. */
async function findSignatures(
  client: RegistryClient,
  { registry, repository }: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<InsideView['signatures']> {
  const tagged = (suffix: string): Target => ({ registry, repository, tag: `${referrersTag(digest)}${suffix}` });
  const answer = await listReferrers(client, { registry, repository }, digest, { signal });
  const listed = answer.kind === 'served' ? answer.referrers : await readReferrersIndex(client, tagged(''), signal);
  const beside = Object.entries(siblingSuffixes).map(async ([suffix, kind]) => {
    const head = await headManifest(client, tagged(suffix), { signal });
    return head === undefined ? [] : [{ kind: `cosign ${kind}`, digest: head.digest }];
  });
  return [
    ...listed.map((one) => ({ kind: one.artifactType ?? one.mediaType, digest: one.digest })),
    ...(await Promise.all(beside)).flat(),
  ];
}

async function readReferrersIndex(client: RegistryClient, target: Target, signal: AbortSignal): Promise<Descriptor[]> {
  if ((await headManifest(client, target, { signal })) === undefined) return [];
  const content = contentOf(target, await getManifest(client, target, { signal }));
  return content.kind === 'index' ? content.children : [];
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
