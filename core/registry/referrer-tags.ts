import { toTranshipError } from '../model/errors.ts';
import { formatRepository, type Repository } from '../model/reference.ts';
import { isReferrerTag } from '../model/referrer.ts';
import type { ReferrerTags, RegistryClient } from './state.ts';
import { listTags } from './tags.ts';

/** As long as a list is believed, so that the tags of one repository that are copied together share one. */
const BELIEVED_MS = 5 * 60_000;
const MOST_PAGES = 50;
/** More tags are not read for each image that is pushed: four questions for each of its manifests are fewer. */
const LONG_LIST = 3_000;

/** Keeps the tags of referrers of a list that was read for another purpose. */
export function noteReferrerTags(client: RegistryClient, repository: Repository, all: string[], at: number): void {
  const known = new Set(all.filter(isReferrerTag));
  const isLong = all.length > LONG_LIST;
  client.referrerTags.set(formatRepository(repository), { at, tags: Promise.resolve(known), known, isLong });
}

/** The tags of referrers of a repository, where its list has been read lately. Sends no request. */
export function knownReferrerTags(client: RegistryClient, repository: Repository): ReadonlySet<string> | undefined {
  const entry = client.referrerTags.get(formatRepository(repository));
  return entry !== undefined && entry.at >= Date.now() - BELIEVED_MS ? entry.known : undefined;
}

/**
 * The tags of referrers that a repository has, by its list of tags, which is read again where it is older than five
 * minutes.
 *
 * @param options.since epoch ms: an older list will not do, and a long one is not read for it
 * @returns undefined where there is no list to go by: tags are to be asked for by their names
 * @throws TranshipError transient and throttled ones
 */
export async function listReferrerTags(
  client: RegistryClient,
  repository: Repository,
  { since = 0, signal }: { since?: number; signal?: AbortSignal } = {},
): Promise<ReadonlySet<string> | undefined> {
  const key = formatRepository(repository);
  const known = client.referrerTags.get(key);
  const now = Date.now();
  if (known !== undefined && known.at >= Math.max(since, now - BELIEVED_MS)) return known.tags;
  if (since > 0 && known?.isLong) return undefined;
  const reading = readTags(client, repository, signal);
  const entry: ReferrerTags = { at: now, tags: reading.then(({ tags }) => tags) };
  client.referrerTags.set(key, entry);
  // Whoever waits for it is told of its failure; mostly nobody else does.
  entry.tags.catch(() => {});
  try {
    const { tags, isLong } = await reading;
    client.referrerTags.set(key, { ...entry, known: tags, isLong });
    return tags;
  } catch (error) {
    if (client.referrerTags.get(key) === entry) client.referrerTags.delete(key);
    throw error;
  }
}

async function readTags(
  client: RegistryClient,
  repository: Repository,
  signal: AbortSignal | undefined,
): Promise<{ tags: ReadonlySet<string> | undefined; isLong: boolean }> {
  const found = new Set<string>();
  let pages = 0;
  let count = 0;
  try {
    for await (const page of listTags(client, repository, { signal })) {
      pages += 1;
      count += page.length;
      if (pages > MOST_PAGES) return { tags: undefined, isLong: true };
      for (const tag of page) if (isReferrerTag(tag)) found.add(tag);
    }
  } catch (thrown) {
    const error = toTranshipError(thrown);
    if (error.class !== 'permanent' || error.code === 'aborted') throw error;
    return { tags: undefined, isLong: false };
  }
  return { tags: found, isLong: count > LONG_LIST };
}
