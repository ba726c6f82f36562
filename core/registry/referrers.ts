import { hasCode, rephrase } from '../model/errors.ts';
import { type Descriptor, parseReferrers } from '../model/manifest.ts';
import { OCI_INDEX } from '../model/media-types.ts';
import { type Digest, formatTarget, type Repository } from '../model/reference.ts';
import { type Call, callError, retryCall } from './call.ts';
import { parseNextLink } from './headers/link.ts';
import { errorOf } from './http-error.ts';
import { quirksOf } from './quirks.ts';
import { send } from './send.ts';
import type { RegistryClient } from './state.ts';
import { nextQuery } from './tags.ts';
import { discard } from './wire/body.ts';
import { readResponse } from './wire/exchange.ts';

export type ReferrersAnswer =
  /** `isCut`: there are more. */
  | { kind: 'served'; referrers: Descriptor[]; isCut: boolean }
  /** The registry has no such API: what refers to a manifest is found by tags. */
  | { kind: 'not-served' };

/** More artifacts than people attach to one manifest. */
export const MOST_REFERRERS = 1000;
/** A registry may send all of them at once, whatever their number. */
const MAX_PAGE_BYTES = 32 * 1024 * 1024;
const MAX_PAGES = 1000;
/** A registry that has no such API today may be updated. */
const NOT_SERVED_FOR_MS = 3_600_000;
/** A failure cannot pass for "none": then images would arrive without their signatures. */
const WITHOUT_REFERRERS =
  'if the registry cannot list them at all, write `referrers: none` into the rule, in a tranship.yaml, since images ' +
  'files know no such field: signatures then stay behind';
/**
 * Answers of registries that do not know the path: 404 by the specification, 400 of old ones, 403 of Artifactory for
 * what is not there, 405 and 501 of gateways, 424 of a cache whose source has no such API (Azure/acr#891). 203 and 204
 * bring no list either.
 */
const notServed = [203, 204, 400, 401, 403, 404, 405, 406, 410, 415, 422, 424, 501];

/**
 * What refers to a manifest, by the API of the distribution specification 1.1 ("Listing Referrers"). Whether a registry
 * has it is found out once, and asked again after an hour where it has not.
 *
 * @param options.artifactType only artifacts of this type, where the registry can filter; it may send others, too
 * @throws TranshipError transient and throttled ones; `limit-exceeded` or `protocol` for a list that does not end
 */
export async function listReferrers(
  client: RegistryClient,
  repository: Repository,
  subject: Digest,
  { artifactType, signal }: { artifactType?: string; signal?: AbortSignal } = {},
): Promise<ReferrersAnswer> {
  const quirks = quirksOf(client, repository.registry);
  const isKnown = () => quirks.referrers?.isServed || Date.now() < (quirks.referrers?.until ?? 0);
  if (!isKnown()) await quirks.askingForReferrers;
  if (isKnown() && !quirks.referrers?.isServed) return { kind: 'not-served' };
  const answer = readPages(client, repository, subject, { artifactType, signal });
  if (!isKnown()) {
    const asking = answer
      .catch(() => {})
      .finally(() => {
        if (quirks.askingForReferrers === asking) quirks.askingForReferrers = undefined;
      });
    quirks.askingForReferrers = asking;
  }
  return answer;
}

async function readPages(
  client: RegistryClient,
  repository: Repository,
  subject: Digest,
  { artifactType, signal }: { artifactType: string | undefined; signal: AbortSignal | undefined },
): Promise<ReferrersAnswer> {
  const quirks = quirksOf(client, repository.registry);
  const { referrers: known } = quirks;
  const { registry, repository: name } = repository;
  const call: Call = {
    client,
    repository,
    operation: 'list referrers',
    subject: formatTarget({ registry, repository: name, digest: subject }),
    access: 'pull',
    signal,
  };
  const path = `/v2/${name}/referrers/${subject}`;
  const filter = artifactType === undefined ? '' : `?${new URLSearchParams({ artifactType })}`;
  const referrers: Descriptor[] = [];
  const seen = new Set<string>();
  for (let query: string | undefined = filter; query !== undefined; ) {
    if (seen.has(query) || seen.size >= MAX_PAGES) {
      throw callError(call, 'the list of referrers does not end', { class: 'permanent', code: 'protocol' });
    }
    seen.add(query);
    const page: Page | undefined = await retryCall(call, () => getPage(call, `${path}${query}`));
    if (page === undefined) {
      // Where it was served before, it is: this manifest has none.
      if (known?.isServed !== true) quirks.referrers = { isServed: false, until: Date.now() + NOT_SERVED_FOR_MS };
      return { kind: 'not-served' };
    }
    quirks.referrers = { isServed: true, until: 0 };
    referrers.push(...page.entries.slice(0, MOST_REFERRERS - referrers.length));
    query = page.next;
    if (page.isCut || (query !== undefined && referrers.length === MOST_REFERRERS)) {
      return { kind: 'served', referrers, isCut: true };
    }
  }
  return { kind: 'served', referrers, isCut: false };
}

interface Page {
  entries: Descriptor[];
  isCut: boolean;
  next: string | undefined;
}

/** Undefined where the API is not there. */
async function getPage(call: Call, url: string): Promise<Page | undefined> {
  let response: Awaited<ReturnType<typeof send>>;
  try {
    response = await send(call, { method: 'GET', url, headers: { accept: OCI_INDEX } });
  } catch (error) {
    // The manifest could be read with the same login.
    if (hasCode(error, 'unauthorized', 'denied', 'unsafe')) return undefined;
    throw error;
  }
  // ghcr.io sends its readers to a page of github.com (artifacthub/hub#4785).
  if (notServed.includes(response.status) || (response.isForeign && response.status !== 200)) {
    await discard(response.body);
    return undefined;
  }
  if (response.status !== 200) {
    const error = await errorOf(call, response);
    throw error.class === 'throttled' ? error : rephrase(error, { mend: WITHOUT_REFERRERS });
  }
  // Some say 200 and send a page of their own (sigstore/sigstore-js#1187).
  const list = parseReferrers(await readResponse(call, response, MAX_PAGE_BYTES), MOST_REFERRERS);
  return list && { ...list, next: nextQuery(call, parseNextLink(response.headers.link)) };
}
