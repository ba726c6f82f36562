import { type Arrival, type CopyContext, createArrival, createCopyContext } from '../../core/copy/context.ts';
import { copyImage } from '../../core/copy/image.ts';
import { chooseContent } from '../../core/copy/platforms.ts';
import type { PlatformFilter } from '../../core/model/rule.ts';
import type { BlobPlace, BlobPlaces } from '../../core/pipeline/ports/blob-places.ts';
import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import { getManifest } from '../../core/registry/manifests.ts';
import { testClient } from './scripted-registry.ts';

/** Copies of images in this process, without queue, ledger or command. */
export interface Copying extends AsyncDisposable {
  context: CopyContext;
  /** What the index wrote, as `registry/repository digest`. */
  places: Map<string, BlobPlace>;
  events: PipelineEvent[];
  /**
   * Copies a tag, or a digest, to the same name in each of these repositories.
   * @param beforeTag runs when all that the tag's manifest names is there
   */
  copy(from: Place, to: Place[], filter?: Partial<PlatformFilter>, beforeTag?: () => Promise<void>): Promise<Arrival[]>;
}

/** `tag` may be a digest. */
interface Place {
  host: string;
  repository: string;
  tag?: string;
}

/** With the same `places`, a second one knows what the first one learned. */
export function openCopying(places = new Map<string, BlobPlace>()): Copying {
  const events: PipelineEvent[] = [];
  const client = testClient();
  const shared = createCopyContext({
    client,
    ledger: placesIn(places),
    blobsAtOnce: 4,
    emit: (event) => events.push(event),
  });
  const context = { ...shared, retry: client.options.retry, signal: new AbortController().signal };
  return {
    context,
    places,
    events,
    async copy(from, to, filter = {}, beforeTag = async () => {}) {
      const tag = from.tag ?? 'v1';
      const name = tag.includes(':') ? { digest: tag } : { tag };
      const source = { registry: from.host, repository: from.repository, ...name };
      const arrivals = to.map(({ host, repository }) => createArrival({ registry: host, repository, ...name }));
      const manifest = await getManifest(client, source);
      const choice = await chooseContent(context, source, manifest, { platforms: [], os: [], arch: [], ...filter });
      if (choice.kind === 'empty') throw new Error(choice.note);
      await copyImage(context, { source, ...choice, arrivals, beforeTag });
      await context.index.flush();
      return arrivals;
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

function placesIn(places: Map<string, BlobPlace>): BlobPlaces {
  const keyOf = (registry: string, repository: string, digest: string) => `${registry}/${repository} ${digest}`;
  return {
    findBlobs: async (registry, digests, since) =>
      [...places].flatMap(([key, place]) =>
        key.startsWith(`${registry}/`) && digests.includes(place.digest) && place.at > since ? [place] : [],
      ),
    async writeBlobs({ registry, repository }, digests, at) {
      for (const digest of digests) places.set(keyOf(registry, repository, digest), { digest, repository, at });
    },
    async forgetBlobs({ registry, repository }, digests) {
      for (const digest of digests) places.delete(keyOf(registry, repository, digest));
    },
  };
}
