import { hasCode } from '../model/errors.ts';
import { type Digest, formatRepository, isDigest, isTag, type Repository } from '../model/reference.ts';
import { type Call, callError, type QuestionOptions } from './call.ts';
import { parseNextLink } from './headers/link.ts';
import { warnOnce } from './headers/warning.ts';
import { errorInside, errorOf, isMarkup, webPage } from './http-error.ts';
import { afterFullPage, FIRST_QUERY, walkPages } from './list-pages.ts';
import { redactText } from './redact.ts';
import { send } from './send.ts';
import type { RegistryClient } from './state.ts';
import type { ListPage } from './vendors/page.ts';
import { isGoogle } from './vendors/vendor.ts';
import { discard } from './wire/body.ts';
import { readResponse } from './wire/exchange.ts';

/** Google's registries send one page with the digests of all tags where they are not asked for pages. */
const GOOGLE_QUERY = '';
/** A registry that ignores `n` sends everything at once: a million tags of a dozen characters. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
const limits = {
  what: 'tags',
  maxPages: 20_000,
  maxNames: 1_000_000,
  mend: 'name the tags in the rule: then no list is needed',
};

/**
 * All tags of a repository, page by page, in the registry's order. Names that are no tags are left out, with a warning.
 * A page may be empty, or short, and not be the last.
 *
 * @throws TranshipError `not-found`, permanent, where the registry has no such repository; `limit-exceeded` or
 *   `protocol` for a list that does not end
 * @see distribution spec, "Listing Tags"
 */
export async function* listTags(
  client: RegistryClient,
  repository: Repository,
  options: QuestionOptions = {},
): AsyncGenerator<string[]> {
  for await (const { tags } of tagPages(client, repository, options, FIRST_QUERY)) yield tags;
}

/** One page of a tag list, with the digests that some registries tell with it. */
export interface TagListPage {
  tags: string[];
  digests: Map<string, Digest>;
}

/**
 * As {@link listTags}, with the digests of tags where the registry tells them in its list: Google's do, in a field
 * `manifest` of their own (go-containerregistry, pkg/v1/google/list.go).
 */
export async function* listTagsWithDigests(
  client: RegistryClient,
  repository: Repository,
  options: QuestionOptions = {},
): AsyncGenerator<TagListPage> {
  if (!isGoogle(repository.registry)) return yield* tagPages(client, repository, options, FIRST_QUERY);
  try {
    yield* tagPages(client, repository, options, GOOGLE_QUERY);
  } catch (error) {
    // One page for tens of thousands of images may be too long.
    if (!hasCode(error, 'limit-exceeded')) throw error;
    yield* tagPages(client, repository, options, FIRST_QUERY);
  }
}

async function* tagPages(
  client: RegistryClient,
  repository: Repository,
  { access = 'pull', signal }: QuestionOptions,
  first: string,
): AsyncGenerator<TagListPage> {
  const subject = formatRepository(repository);
  const call: Call = { client, repository, operation: 'list tags', subject, access, signal };
  const path = `/v2/${repository.repository}/tags/list`;
  for await (const page of walkPages(call, limits, (query = first) => getPage(call, path, query))) {
    yield { tags: tagsAmong(call, page.names), digests: page.digests };
  }
}

async function getPage(call: Call, path: string, query: string): Promise<ListPage & { digests: Map<string, Digest> }> {
  const response = await send(call, {
    method: 'GET',
    url: `${path}${query}`,
    headers: { accept: 'application/json' },
  });
  if (response.status === 400 && query === FIRST_QUERY) {
    // It takes no pages of this size (PAGINATION_NUMBER_INVALID): it may choose the size itself.
    await discard(response.body);
    return { names: [], digests: new Map(), next: '' };
  }
  if (response.status !== 200) throw await errorOf(call, response);
  const body = await readResponse(call, response, MAX_PAGE_BYTES);
  const error = errorInside(call, response, body);
  if (error !== undefined) throw error;
  const list = parseTagList(call, body);
  const next = nextQuery(call, parseNextLink(response.headers.link));
  return { ...list, next, guess: afterFullPage(list.names) };
}

function parseTagList(call: Call, body: Buffer): { names: unknown[]; digests: Map<string, Digest> } {
  let document: Record<string, unknown>;
  try {
    document = Object(JSON.parse(body.toString('utf8')));
  } catch (cause) {
    if (isMarkup(body.toString('utf8'))) throw webPage(call);
    throw callError(call, 'the list of tags is not JSON', { class: 'transient', code: 'protocol', cause });
  }
  const { tags, manifest } = document;
  const digests = isGoogle(call.repository.registry) ? digestsOf(manifest) : new Map();
  // An empty repository: distribution sends null, others leave the list out.
  if (tags === undefined || tags === null) return { names: [], digests };
  if (Array.isArray(tags)) return { names: tags, digests };
  throw callError(call, 'the answer has no list of tags', { class: 'permanent', code: 'protocol' });
}

/** Google's `manifest`: by digest, what there is, with its tags in `tag`. */
function digestsOf(manifest: unknown): Map<string, Digest> {
  const digests = new Map<string, Digest>();
  for (const [digest, about] of Object.entries(Object(manifest))) {
    const { tag } = Object(about);
    if (!isDigest(digest) || !Array.isArray(tag)) continue;
    for (const name of tag) if (typeof name === 'string' && isTag(name)) digests.set(name, digest);
  }
  return digests;
}

function tagsAmong(call: Call, names: unknown[]): string[] {
  return names.filter((name): name is string => {
    // Where Artifactory keeps unfinished uploads (oras-project/oras#1907).
    if (name === '_uploads') return false;
    if (typeof name === 'string' && isTag(name)) return true;
    // Nexus lists nulls, Artifactory digests (containers/skopeo#2409, containers/skopeo#2346).
    if (name !== null && !(typeof name === 'string' && isDigest(name))) {
      const shown = redactText(typeof name === 'string' ? name : typeof name, 140);
      warnOnce(
        call.client,
        call.repository.registry,
        `${call.subject} lists "${shown}", which is no tag; it is left out`,
      );
    }
    return false;
  });
}

/**
 * The query of the next page. Nothing else is taken from the link: behind a gateway, registries get scheme, host, port
 * and path prefix wrong, and containers/image reads it in the same way. So no link can lead to another host.
 */
export function nextQuery(call: Call, link: string | undefined): string | undefined {
  if (link === undefined) return undefined;
  const [, query] = /^[^?#]*(\?[^#]+)/.exec(link) ?? [];
  if (query !== undefined) return query;
  throw callError(call, 'the link to the next page has no query', { class: 'permanent', code: 'protocol' });
}
