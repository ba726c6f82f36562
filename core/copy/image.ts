import pLimit from 'p-limit';
import { atSite, hasCode, TranshipError, toTranshipError } from '../model/errors.ts';
import type { Descriptor, ManifestContent } from '../model/manifest.ts';
import type { Digest, Repository, Target } from '../model/reference.ts';
import { type FetchedManifest, getManifest, putManifest } from '../registry/manifests.ts';
import { forgetBlobs, holdsBlob, learnBlob, primeBlobs } from './blob-index.ts';
import { ensureBlobs } from './blobs.ts';
import { contentOf } from './content.ts';
import { type Arrival, type CopyContext, isAlive } from './context.ts';

/** Children of one index that are copied at a time; their blobs share the process's slots. */
const CHILDREN_AT_ONCE = 4;
/** Manifests that one tag may lead to, and how deep: no image comes near, a hostile index would never end. */
const MAX_MANIFESTS = 2_000;
const MAX_DEPTH = 8;

export interface ImageCopy {
  source: Repository;
  /** What the destinations get, byte for byte. */
  root: FetchedManifest;
  content: ManifestContent;
  arrivals: Arrival[];
  /** Called right before a destination's tag is written; throws where it may not be any more. */
  beforeTag: (arrival: Arrival) => Promise<void>;
}

/**
 * Copies an image with all that it names: blobs first, children before their index, the tag last (design.md §3.2).
 * Each arrival ends with its error or with the digest confirmed by its registry.
 */
export async function copyImage(context: CopyContext, image: ImageCopy): Promise<void> {
  const walk: Walk = { context, source: image.source, digests: new Set(), manifests: 0 };
  await copyOnce(walk, image, image.arrivals);
  // What we believed to be there was collected since: forget all that was named so far, and bring it again. What a forgotten
  // child names is only seen then, so a nested image may take a turn a level; each has to name something new.
  for (let named = 0; walk.digests.size > named; ) {
    named = walk.digests.size;
    const deceived = image.arrivals.filter((arrival) => hasCode(arrival.error, 'blob-unknown') && isFrom(arrival));
    if (deceived.length === 0) return;
    for (const arrival of deceived) {
      await forgetBlobs(context.index, arrival.target, [...walk.digests]);
      delete arrival.error;
    }
    walk.manifests = 0;
    await copyOnce(walk, image, deceived);
  }
}

/** Did the destination, not the source, say it? */
function isFrom({ error, target }: Arrival): boolean {
  return error?.site.registry === target.registry && error.site.repository === target.repository;
}

interface Walk {
  context: CopyContext;
  source: Repository;
  /** All that the image names. */
  digests: Set<Digest>;
  manifests: number;
}

async function copyOnce(walk: Walk, image: ImageCopy, arrivals: Arrival[]): Promise<void> {
  await copyContent(walk, image.content, arrivals, 1);
  await putEverywhere(walk, image.root, arrivals, async (arrival) => {
    await image.beforeTag(arrival);
    const { registry, repository, tag } = arrival.target;
    return tag === undefined ? { registry, repository, digest: image.root.digest } : arrival.target;
  });
}

async function copyContent(walk: Walk, content: ManifestContent, arrivals: Arrival[], depth: number): Promise<void> {
  for (const blob of content.blobs) walk.digests.add(blob.digest);
  const work = [ensureBlobs(walk.context, walk.source, content.blobs, arrivals)];
  if (content.kind === 'index') {
    const limit = pLimit(CHILDREN_AT_ONCE);
    const children = new Map(content.children.map((child) => [child.digest, child]));
    const registries = new Set(arrivals.map((arrival) => arrival.target.registry));
    for (const registry of registries) await primeBlobs(walk.context.index, registry, [...children.keys()]);
    for (const child of children.values()) {
      work.push(limit(() => copyChild(walk, child, arrivals, depth + 1)));
    }
  }
  await Promise.all(work);
}

async function copyChild(walk: Walk, child: Descriptor, all: Arrival[], depth: number): Promise<void> {
  const { context, source } = walk;
  walk.digests.add(child.digest);
  const arrivals = all.filter((arrival) => isAlive(arrival) && !holdsBlob(context.index, arrival.target, child.digest));
  if (arrivals.length === 0) return;
  try {
    walk.manifests += 1;
    if (walk.manifests > MAX_MANIFESTS || depth > MAX_DEPTH) {
      throw new TranshipError(`the index leads to more than ${MAX_MANIFESTS} manifests or ${MAX_DEPTH} levels`, {
        class: 'permanent',
        code: 'limit-exceeded',
        ...source,
      });
    }
    const target: Target = { registry: source.registry, repository: source.repository, digest: child.digest };
    const manifest = await getManifest(context.client, target, { signal: context.signal });
    await copyContent(walk, contentOf(source, manifest), arrivals, depth);
    await putEverywhere(walk, manifest, arrivals, async ({ target: { registry, repository } }) => ({
      registry,
      repository,
      digest: child.digest,
    }));
  } catch (error) {
    const failure = atSite(error, { ...source, operation: 'get manifest' });
    for (const arrival of arrivals.filter(isAlive)) arrival.error = failure;
  }
}

async function putEverywhere(
  { context }: Walk,
  manifest: FetchedManifest,
  arrivals: Arrival[],
  targetFor: (arrival: Arrival) => Promise<Target>,
): Promise<void> {
  await Promise.all(
    arrivals.filter(isAlive).map(async (arrival) => {
      try {
        await putManifest(context.client, await targetFor(arrival), manifest, { signal: context.signal });
        learnBlob(context.index, arrival.target, manifest.digest);
      } catch (error) {
        arrival.error = toTranshipError(error);
      }
    }),
  );
}
