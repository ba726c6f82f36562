import { type TranshipError, toTranshipError } from '../model/errors.ts';
import type { ManifestContent } from '../model/manifest.ts';
import type { Digest, Repository, Target } from '../model/reference.ts';
import { waitFor } from '../registry/abort.ts';
import { type FetchedManifest, putManifest } from '../registry/manifests.ts';
import { ensureBlob } from './blobs.ts';
import { type Arrival, type CopyContext, isAlive, isKnownAt } from './context.ts';
import { type ImageVisitor, walkImage } from './walk.ts';

export interface ImageCopy {
  source: Repository;
  /** What the destinations get, byte for byte. */
  root: FetchedManifest;
  content: ManifestContent;
  arrivals: Arrival[];
  /** Called when all that the image names is there, with the arrivals that are to get the tag. */
  beforeTags?: (arrivals: Arrival[]) => Promise<void>;
  /** Called right before a destination's tag is written; throws where it may not be any more. */
  beforeTag: (arrival: Arrival) => Promise<void>;
}

/**
 * Copies an image with all that it names: blobs first, children before their index, the tag last. Each arrival ends
 * with its error, or with the digest confirmed by its registry.
 */
export async function copyImage(context: CopyContext, image: ImageCopy): Promise<void> {
  const named = new Set<Digest>();
  let namedBefore = 0;
  let arrivals = image.arrivals;
  while (arrivals.length > 0) {
    await copyOnce(context, image, arrivals, named);
    // A child that was believed to be there is not read, so what it names shows only after it was forgotten: one more
    // round for each level.
    const isNews = named.size > namedBefore;
    namedBefore = named.size;
    const again: Arrival[] = [];
    for (const arrival of arrivals) {
      const trust = trustAfter(arrival, isNews);
      if (trust === undefined) continue;
      await context.index.forget(arrival.target, [...named]);
      arrival.trust = trust;
      arrival.believed = false;
      arrival.error = undefined;
      again.push(arrival);
    }
    arrivals = again;
  }
}

/** The destination says that it lacks what we believe it has: it was deleted since, or was never there. */
function deniesContent(error: TranshipError, target: Target): boolean {
  const { code, site } = error;
  if (!isAbout(error, target)) return false;
  if (code === 'blob-unknown') return true;
  // Some registries say so of a child manifest, where the specification has MANIFEST_BLOB_UNKNOWN.
  return code === 'not-found' && site.operation === 'put manifest' && !site.registryCodes?.includes('NAME_UNKNOWN');
}

/** How a registry is trusted in the next round; undefined where there is to be none. */
function trustAfter({ error, target, trust, believed }: Arrival, isNews: boolean): Arrival['trust'] | undefined {
  if (error === undefined) return undefined;
  if (deniesContent(error, target)) return lessTrust(trust, isNews);
  // zot and Quay say no more of a manifest whose blobs they lack. Where nothing was believed, they mean the manifest.
  const isInvalid = isAbout(error, target) && error.site.registryCodes?.includes('MANIFEST_INVALID') === true;
  if (!isInvalid || !believed) return undefined;
  if (trust === 'mounts') return 'heads';
  return isNews ? trust : undefined;
}

function isAbout({ site }: TranshipError, target: Target): boolean {
  return site.registry === target.registry && site.repository === target.repository;
}

/** How a registry that denied having something is trusted in the next round; undefined where nothing is left to try. */
function lessTrust(trust: Arrival['trust'], isNews: boolean): Arrival['trust'] | undefined {
  if (trust === 'mounts') return 'heads';
  if (isNews) return trust;
  return trust === 'heads' ? 'nothing' : undefined;
}

async function copyOnce(
  context: CopyContext,
  image: ImageCopy,
  arrivals: Arrival[],
  named: Set<Digest>,
): Promise<void> {
  const { client, signal, imageSlots } = context;
  const { source, content } = image;
  await walkImage({ client, signal, source, imageSlots }, content, visitorOf(context, image, arrivals, named));
  await image.beforeTags?.(arrivals.filter(isAlive));
  await putEverywhere(context, image.root, arrivals, async (arrival) => {
    await image.beforeTag(arrival);
    return arrival.target.tag === undefined ? { ...arrival.target, digest: image.root.digest } : arrival.target;
  });
}

function visitorOf(context: CopyContext, { source }: ImageCopy, arrivals: Arrival[], named: Set<Digest>): ImageVisitor {
  const { index } = context;
  const registries = [...new Set(arrivals.map(({ target }) => target.registry))];
  const lacking = (digest: Digest) => arrivals.filter((one) => isAlive(one) && !isKnownAt(index, one, digest));
  return {
    async prepare(digests) {
      for (const digest of digests) named.add(digest);
      await Promise.all(registries.map((registry) => index.load(registry, digests)));
    },
    blob: (blob) => ensureBlob(context, source, blob, arrivals),
    async child({ digest }, visit) {
      for (const one of arrivals) if (isKnownAt(index, one, digest)) one.believed = true;
      const claim = await claimChild(context, digest, () => lacking(digest));
      if (claim === undefined) return;
      try {
        const manifest = await visit();
        await putEverywhere(context, manifest, lacking(digest), async ({ target: { registry, repository } }) => ({
          registry,
          repository,
          digest,
        }));
      } catch (error) {
        for (const arrival of lacking(digest)) arrival.error = toTranshipError(error);
      } finally {
        claim.release();
      }
    },
  };
}

/**
 * Waits while another copy brings the child to one of the arrivals that lack it: tags of one image are often copied at
 * the same time. That copy waits only for what the child names, so no two wait for each other.
 *
 * @returns undefined where no arrival lacks it any more
 * @throws TranshipError `aborted`
 */
async function claimChild(
  { index, signal }: CopyContext,
  digest: Digest,
  lacking: () => Arrival[],
): Promise<{ release: () => void } | undefined> {
  while (true) {
    const targets = lacking().map(({ target }) => target);
    if (targets.length === 0) return undefined;
    const claim = index.claimManifest(targets, digest);
    if (claim.kind === 'taken') return claim;
    await waitFor(claim.ended, signal);
  }
}

async function putEverywhere(
  { client, index, signal }: CopyContext,
  manifest: FetchedManifest,
  arrivals: Arrival[],
  targetFor: (arrival: Arrival) => Promise<Target>,
): Promise<void> {
  await Promise.all(
    arrivals.filter(isAlive).map(async (arrival) => {
      try {
        await putManifest(client, await targetFor(arrival), manifest, { signal });
        index.add(arrival.target, manifest.digest);
      } catch (error) {
        arrival.error = toTranshipError(error);
      }
    }),
  );
}
