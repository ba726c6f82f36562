import { hasCode, rephrase, TranshipError } from '../model/errors.ts';
import type { Descriptor, ManifestContent } from '../model/manifest.ts';
import { formatPlatform } from '../model/platform.ts';
import { type Digest, formatRepository, type Repository } from '../model/reference.ts';
import { createSlots, type Slots } from '../model/slots.ts';
import type { RegistryClient } from '../registry/client.ts';
import { type FetchedManifest, getManifest } from '../registry/manifests.ts';
import { contentOf } from './content.ts';

/** Children of one index that are visited at a time. */
const CHILDREN_AT_ONCE = 4;

/**
 * What one image may lead to. No real image comes near these, and a hostile one would never end: an index of 4 MiB can
 * name 30,000 others of its kind. The bytes bound the memory, too: a manifest is kept until its children are done.
 */
export const walkLimits = { manifests: 2_000, depth: 8, manifestBytes: 64 * 1024 * 1024, blobs: 50_000 };

/** What is done with the parts of an image. What a visitor throws ends the walk. */
export interface ImageVisitor {
  /** All that a manifest names, before any of it is visited. */
  prepare(digests: Digest[]): Promise<void>;
  /** Once for each blob. */
  blob(blob: Descriptor): Promise<void>;
  /**
   * Once for each child manifest.
   * @param visit reads it and visits all that it names; throws what went wrong with the source, or what the visitor
   *   threw below. Where it is not called, neither the child nor what it names is visited
   */
  child(child: Descriptor, visit: () => Promise<FetchedManifest>): Promise<void>;
}

export interface WalkOptions {
  client: RegistryClient;
  source: Repository;
  signal: AbortSignal;
  /** Bounds the images whose blobs are visited at a time. @default none waits */
  imageSlots?: Slots;
}

/**
 * Visits all that an image names, each blob and each child manifest once, however many manifests name it. Whoever needs
 * one that is being visited waits for that visit. The root is the caller's.
 *
 * Returns, or throws what the visitor threw first, when no visit is under way any more.
 */
export async function walkImage(options: WalkOptions, root: ManifestContent, visitor: ImageVisitor): Promise<void> {
  const { client, source, signal, imageSlots = createSlots(Number.POSITIVE_INFINITY) } = options;
  const blobs: Visits = new Map();
  const children: Visits = new Map();
  const used = { manifests: 0, manifestBytes: 0, blobs: 0 };

  async function visitContent(content: ManifestContent, depth: number): Promise<void> {
    const entries = content.kind === 'index' ? distinct(content.children) : [];
    await visitor.prepare([...content.blobs, ...entries].map(({ digest }) => digest));
    const visitBlobs = () => allEnded(content.blobs.map((blob) => once(blobs, blob.digest, () => visitor.blob(blob))));
    // Whoever has a slot waits for no other: blobs are visited inside of slots alone, and lead to nothing else.
    const visits = content.blobs.length > 0 ? [imageSlots(visitBlobs)] : [];
    if (entries.length > 0) {
      const slots = createSlots(CHILDREN_AT_ONCE);
      // A visit begins inside its slot: one that is only queued could wait for a visit that waits for it.
      const visit = (child: Descriptor) => once(children, child.digest, () => visitChild(child, depth + 1));
      visits.push(...entries.map((child) => slots(() => visit(child))));
    }
    await allEnded(visits);
  }

  function visitChild(child: Descriptor, depth: number): Promise<void> {
    return visitor.child(child, async () => {
      const { manifest, content } = await readChild(child, depth);
      await visitContent(content, depth);
      return manifest;
    });
  }

  async function readChild(child: Descriptor, depth: number) {
    if (depth > walkLimits.depth) throw beyondLimit(source, `more than ${walkLimits.depth} levels of indexes`);
    use('manifests', 1);
    const { registry, repository } = source;
    const manifest = await getManifest(client, { registry, repository, digest: child.digest }, { signal }).catch(
      (error: unknown) => {
        throw hasCode(error, 'not-found') ? missingChild(source, child, error) : error;
      },
    );
    use('manifestBytes', manifest.bytes.length);
    const content = contentOf(source, manifest);
    use('blobs', content.blobs.filter(({ digest }) => !blobs.has(digest)).length);
    return { manifest, content };
  }

  function use(what: keyof typeof used, amount: number): void {
    used[what] += amount;
    if (used[what] > walkLimits[what]) {
      const names = { manifests: 'manifests', manifestBytes: 'bytes of manifests', blobs: 'blobs' };
      throw beyondLimit(source, `more than ${walkLimits[what]} ${names[what]}`);
    }
  }

  await visitContent(root, 1);
}

type Visits = Map<Digest, Promise<void>>;

/** No manifest can name itself, however indirectly, so no visit waits for itself. */
function once(visits: Visits, digest: Digest, visit: () => Promise<void>): Promise<void> {
  const known = visits.get(digest);
  if (known !== undefined) return known;
  const visiting = visit();
  visits.set(digest, visiting);
  return visiting;
}

/** Waits for all of them, also after one has failed. */
async function allEnded(visits: Array<Promise<void>>): Promise<void> {
  const results = await Promise.allSettled(visits);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function distinct(children: Descriptor[]): Descriptor[] {
  return [...new Map(children.map((child) => [child.digest, child])).values()];
}

function beyondLimit({ registry, repository }: Repository, what: string): TranshipError {
  return new TranshipError(`the image leads to ${what}`, {
    class: 'permanent',
    code: 'limit-exceeded',
    registry,
    repository,
    operation: 'get manifest',
  });
}

/** A sparse index: some platforms were never pushed, or were deleted. */
function missingChild(source: Repository, { digest, platform }: Descriptor, cause: TranshipError): TranshipError {
  const what = platform === undefined ? digest : `${digest} (${formatPlatform(platform)})`;
  return rephrase(cause, {
    message: `${formatRepository(source)} does not have ${what}, which the index names`,
    mend: 'if the tag was replaced while it was copied, the next run has it; else push the whole image again, or copy only the platforms that are there',
  });
}
