import { toTranshipError } from '../model/errors.ts';
import type { Digest, Repository, Target } from '../model/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import { headManifest } from '../registry/manifests.ts';
import { distrustTagDigests, listTagDigests } from '../registry/tag-digests.ts';
import type { TagListPage } from '../registry/tags.ts';

/** So many tags of a page are asked for by HEAD all the same. */
const SAMPLE = 3;

/** What a source's tags are, as far as its registry tells that of many tags at once. */
export interface SourceDigests {
  /** Compares some of these tags with what the registry itself says. One that differs, and none is believed any more. */
  check(sources: Target[]): Promise<void>;
  /** Undefined where it was not told, or is not believed: the registry is to be asked for the tag. */
  of(source: Target): Digest | undefined;
}

/**
 * Reads the digests of a source's tags in pages, where its vendor lists them and that saves requests.
 * @param wanted tags that the rule takes
 * @param listed the source's tag list, where it was read
 * @throws TranshipError `aborted`; `check` also where the registry wants to be left alone
 */
export async function createSourceDigests(
  { client, signal }: { client: RegistryClient; signal: AbortSignal },
  from: Repository,
  wanted: string[],
  listed: TagListPage | undefined,
): Promise<SourceDigests> {
  const digests = new Map<string, Digest>();
  const tags = new Set(wanted.filter((tag) => !noteListed(tag)));
  for (const [tag, digest] of await listTagDigests(client, from, { tags, total: listed?.tags.length }, signal)) {
    digests.set(tag, digest);
  }

  function noteListed(tag: string): boolean {
    const digest = listed?.digests.get(tag);
    if (digest !== undefined) digests.set(tag, digest);
    return digest !== undefined;
  }

  async function isRight(source: Target): Promise<boolean> {
    try {
      const head = await headManifest(client, source, { isNamed: true, signal });
      return head?.digest === digests.get(source.tag ?? '');
    } catch (thrown) {
      const error = toTranshipError(thrown);
      if (error.class === 'throttled' || error.code === 'aborted') throw error;
      // It says nothing of the digest; the tag is asked for again, and its failure reported.
      digests.delete(source.tag ?? '');
      return true;
    }
  }

  return {
    async check(sources) {
      const told = sources.filter(({ tag }) => tag !== undefined && digests.has(tag));
      const results = await Promise.all(sampleOf(told, SAMPLE).map(isRight));
      if (results.every((result) => result)) return;
      digests.clear();
      distrustTagDigests(client, from);
    },
    of: ({ tag }) => (tag === undefined ? undefined : digests.get(tag)),
  };
}

/** So many of the items, one by chance of each of as many parts. */
function sampleOf<Item>(items: Item[], count: number): Item[] {
  if (items.length <= count) return items;
  const starts = Array.from({ length: count + 1 }, (_, part) => Math.floor((part * items.length) / count));
  return starts.slice(1).flatMap((end, part) => {
    const start = starts[part] ?? 0;
    const at = start + Math.floor(Math.random() * (end - start));
    return items.slice(at, at + 1);
  });
}
