import { hasCode } from '../model/errors.ts';
import { OCI_INDEX } from '../model/media-types.ts';
import { type Digest, formatRepository, isDigest, type Repository } from '../model/reference.ts';
import { type Call, callError, retryCall } from './call.ts';
import { parseNextLink } from './headers/link.ts';
import { parseErrors, refusal } from './http-error.ts';
import { specificType } from './manifest-type.ts';
import { getManifest } from './manifests.ts';
import { send } from './send.ts';
import { quirksOf, type RegistryClient } from './state.ts';
import { discard, readStart } from './wire/body.ts';
import { type Answer, readAnswer } from './wire/exchange.ts';

/** A manifest that names another one as its subject: a signature, an SBOM. */
export interface ReferrerDescriptor {
  mediaType: string;
  digest: Digest;
  /** Bytes. */
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
}

const MAX_PAGE_BYTES = 4 * 1024 * 1024;
const MAX_PAGES = 100;
const MAX_REFERRERS = 10_000;

/**
 * All manifests that refer to one: from the referrers API, or where there is none from the index under the tag
 * `sha256-<hex>`. Empty where nothing refers to it.
 *
 * @see distribution spec, "Listing Referrers", "Referrers Tag Schema"
 */
export async function listReferrers(
  client: RegistryClient,
  repository: Repository,
  digest: Digest,
  { signal }: { signal?: AbortSignal } = {},
): Promise<ReferrerDescriptor[]> {
  const subject = `${formatRepository(repository)}@${digest}`;
  const call: Call = { client, repository, operation: 'list referrers', subject, signal };
  const quirks = quirksOf(client, repository.registry);
  if (!quirks.lacksReferrersApi) {
    const listed = await fromApi(call, digest);
    if (listed !== undefined) return listed;
    quirks.lacksReferrersApi = true;
  }
  return fromTag(call, digest);
}

/** Undefined where the registry has no such API. */
async function fromApi(call: Call, digest: Digest): Promise<ReferrerDescriptor[] | undefined> {
  const path = `/v2/${call.repository.repository}/referrers/${digest}`;
  const found: ReferrerDescriptor[] = [];
  const seen = new Set<string>();
  for (let query = ''; ; ) {
    if (seen.has(query) || seen.size >= MAX_PAGES || found.length > MAX_REFERRERS) {
      throw callError(call, 'the list of referrers does not end', { class: 'permanent', code: 'limit-exceeded' });
    }
    seen.add(query);
    const page = await retryCall(call, () => getPage(call, `${path}${query}`));
    if (page === undefined) return undefined;
    found.push(...page.referrers);
    if (page.next === undefined) return found;
    query = page.next;
  }
}

async function getPage(call: Call, url: string) {
  const answer = await send(call, { method: 'GET', url, actions: 'pull', headers: { accept: OCI_INDEX } });
  const { status, headers } = answer;
  if (status === 200 && specificType(headers['content-type']) === OCI_INDEX) {
    const referrers = parseReferrers(call, await readAnswer(call, answer, MAX_PAGE_BYTES));
    return { referrers, next: nextQuery(answer) };
  }
  // A 200 of another type is a catch-all route; 400 is said by registries to a path they do not know (go-containerregistry).
  if ([200, 400, 404, 405, 406, 501].includes(status)) {
    await discard(answer.body);
    return undefined;
  }
  throw refusal(call, answer, parseErrors(await readStart(answer.body, 64 * 1024), answer.secrets));
}

function nextQuery(answer: Answer): string | undefined {
  const link = parseNextLink(answer.headers.link);
  const next = link === undefined ? null : URL.parse(link, answer.url.href);
  return next !== null && next.host === answer.url.host && next.search !== '' ? next.search : undefined;
}

async function fromTag(call: Call, digest: Digest): Promise<ReferrerDescriptor[]> {
  const tag = digest.replace(':', '-').slice(0, 128);
  try {
    const options = call.signal === undefined ? {} : { signal: call.signal };
    const { bytes, mediaType } = await getManifest(call.client, { ...call.repository, tag }, options);
    return mediaType === OCI_INDEX ? parseReferrers(call, bytes) : [];
  } catch (error) {
    if (hasCode(error, 'not-found')) return [];
    throw error;
  }
}

/** Entries that are no descriptors are left out: what cannot be fetched by digest cannot be copied. */
function parseReferrers(call: Call, bytes: Buffer): ReferrerDescriptor[] {
  let manifests: unknown;
  try {
    manifests = Object(JSON.parse(bytes.toString('utf8'))).manifests;
  } catch (cause) {
    throw callError(call, 'the list of referrers is not JSON', { class: 'transient', code: 'protocol', cause });
  }
  return Array.isArray(manifests) ? manifests.flatMap((entry) => referrerOf(Object(entry)) ?? []) : [];
}

function referrerOf({ mediaType, digest, size, artifactType, annotations }: Record<string, unknown>) {
  const type = typeof mediaType === 'string' ? specificType(mediaType) : undefined;
  if (type === undefined || typeof digest !== 'string' || !isDigest(digest)) return undefined;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return undefined;
  const texts = Object.entries(Object(annotations)).filter(
    (pair): pair is [string, string] => typeof pair[1] === 'string',
  );
  const referrer: ReferrerDescriptor = { mediaType: type, digest, size };
  if (typeof artifactType === 'string' && artifactType.length <= 255) referrer.artifactType = artifactType;
  if (texts.length > 0) referrer.annotations = Object.fromEntries(texts);
  return referrer;
}
