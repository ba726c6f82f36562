import { hasCode, TranshipError } from '../model/errors.ts';
import { type Digest, formatRepository, isDigest, isTag, type Repository } from '../model/reference.ts';
import type { Call } from './call.ts';
import { quirksOf } from './quirks.ts';
import { findReach } from './reach.ts';
import type { RegistryClient } from './state.ts';
import { listTagsWithDigests } from './tags.ts';
import type { TagPage } from './vendors/page.ts';
import { type TagPages, tagPages } from './vendors/tag-pages.ts';
import { vendorByChallenge, vendorByName } from './vendors/vendor.ts';

/** Fewer tags are asked for one by one. */
const LEAST_TAGS = 8;
/** For so long a vendor's API is left alone that could not be reached, or was asked too often. */
const PAUSE_MS = 10 * 60_000;
const everyRepository = '*';

export interface WantedTags {
  /** The tags whose digests are wanted. */
  tags: ReadonlySet<string>;
  /** How many tags the repository has; undefined where its list was not read. */
  total: number | undefined;
}

/**
 * How many pages of a vendor's list may be read for the digests of some tags; 0 where it would not save requests.
 *
 * @param wanted number of tags whose digests are wanted, each of which costs a HEAD otherwise
 * @param total number of tags that the list has; where it is not known, a fourth of what the HEADs would be is risked
 */
export function pagesWorth(wanted: number, total: number | undefined, pageSize: number): number {
  if (wanted < LEAST_TAGS) return 0;
  if (total === undefined) return Math.floor(wanted / 4);
  const pages = Math.ceil(total / pageSize);
  return pages * 2 <= wanted ? pages + 1 : 0;
}

/**
 * The digests of a repository's tags, as far as its vendor tells them many at once and that saves requests. They are
 * hints: the caller checks some. Never throws but when it is stopped: what is not found is asked for tag by tag. A list
 * that was refused is not asked for again for a day, and an API that failed for ten minutes.
 */
export async function listTagDigests(
  client: RegistryClient,
  repository: Repository,
  wanted: WantedTags,
  signal: AbortSignal | undefined,
): Promise<Map<string, Digest>> {
  const found = new Map<string, Digest>();
  const { withoutBulk } = quirksOf(client, repository.registry);
  if (wanted.tags.size < LEAST_TAGS) return found;
  if (withoutBulk.has(repository.repository) || withoutBulk.has(everyRepository)) return found;
  const subject = formatRepository(repository);
  const call: Call = { client, repository, operation: 'list tag digests', subject, access: 'pull', signal };
  try {
    const pages = await pagesFor(call);
    let left = pages === undefined ? 0 : pagesWorth(wanted.tags.size, wanted.total, pages.size);
    let cursor: string | undefined;
    for (; pages !== undefined && left > 0; left -= 1) {
      const page = await pages.read(call, cursor);
      for (const [tag, digest] of page.digests) {
        if (typeof tag !== 'string' || typeof digest !== 'string' || !wanted.tags.has(tag)) continue;
        if (isTag(tag) && isDigest(digest)) found.set(tag, digest);
      }
      cursor = page.next;
      if (cursor === undefined || found.size === wanted.tags.size) break;
    }
  } catch (error) {
    if (hasCode(error, 'aborted')) throw error;
    const passes = error instanceof TranshipError && error.class !== 'permanent';
    // A firewall may let nobody reach the API: not every rule is to wait for that.
    if (passes) withoutBulk.set(everyRepository, true, { ttl: PAUSE_MS });
    else withoutBulk.set(repository.repository, true);
  }
  return found;
}

/** Notes that a vendor's list had a wrong digest: the repository's tags are asked for one by one for a day. */
export function distrustTagDigests(client: RegistryClient, { registry, repository }: Repository): void {
  quirksOf(client, registry).withoutBulk.set(repository, true);
}

/** How the vendor of a call's registry is asked; undefined where none is known to tell digests. */
async function pagesFor(call: Call): Promise<TagPages | undefined> {
  const { client, repository } = call;
  const { registry } = repository;
  const vendor = vendorByName(registry) ?? vendorByChallenge(registry, (await findReach(call)).endpoint.auth);
  if (vendor === undefined) return undefined;
  if (vendor === 'google') return { size: Number.POSITIVE_INFINITY, read: readGoogle };
  if (vendor !== 'ecr') return tagPages[vendor];
  const { ecrImages } = client.options;
  if (ecrImages === undefined || !(await ecrImages.takes(repository))) return undefined;
  return { size: 1000, read: ({ signal }, cursor) => ecrImages.read(repository, cursor, signal) };
}

async function readGoogle({ client, repository, signal }: Call): Promise<TagPage> {
  const digests: TagPage['digests'] = [];
  for await (const page of listTagsWithDigests(client, repository, { signal })) digests.push(...page.digests);
  return { digests, next: undefined };
}
