import { type FoundReferrers, findReferrers, type Referrer } from '../copy/find-referrers.ts';
import { wantedSuffixes, wantsType } from '../copy/referrer-types.ts';
import { hasCode } from '../model/errors.ts';
import { parseArtifact } from '../model/manifest.ts';
import { isIndexType } from '../model/media-types.ts';
import type { Digest, Target } from '../model/reference.ts';
import { defaultReferrers, type ReferrerChoice, referrersTag } from '../model/referrer.ts';
import type { RegistryClient } from '../registry/client.ts';
import { getManifest, headManifest } from '../registry/manifests.ts';
import { quirksOf } from '../registry/quirks.ts';
import { knownReferrerTags, listReferrerTags } from '../registry/referrer-tags.ts';
import type { ReferrersSeen, SyncRecord } from './ports/sync-records.ts';
import { isReferrersDue } from './referrers-due.ts';

/** An image that is equal at a destination, in its question whether all that refers to it is there, too. */
export interface EqualImage {
  source: Target;
  digest: Digest;
  target: Target;
  /** Undefined where the ledger does not know the image. */
  record: SyncRecord | undefined;
  /** All tags of the destination's repository, where it lists them. */
  tags: ReadonlySet<string> | undefined;
  /** Digest at the destination, where it was asked for. */
  actual?: Digest;
}

export interface Completeness {
  isComplete: boolean;
  /** What was learned and is worth keeping. */
  seen?: ReferrersSeen;
  /** Where the destination itself was asked: what is not there, tags or digests. */
  missing?: string[];
}

export interface CompletenessDeps {
  client: RegistryClient;
  signal: AbortSignal;
  now: () => number;
}

/**
 * Whether what refers to an image at its source came to a destination, as far as that is known without a request: the tags
 * of signatures show in the lists that were read anyway. Undefined where the source is to be asked.
 */
export function knownCompleteness(
  { client, now }: Pick<CompletenessDeps, 'client' | 'now'>,
  image: EqualImage,
  choice: ReferrerChoice = defaultReferrers,
): boolean | undefined {
  if (choice.types.length === 0) return true;
  const { record } = image;
  const seen = record?.referrers;
  if (record === undefined || seen === undefined) return undefined;
  const isDue = () => isReferrersDue({ at: record.at, seen }, { now: now(), recheckMs: choice.recheckMs });
  if (seen.manifests === undefined) {
    const isQuiet = knownReferrerTags(client, image.source)?.size === 0;
    return isQuiet && !isDue() ? true : undefined;
  }
  if (lacksListed(client, image, subjectsOf(image, seen.manifests), { choice, mark: seen.mark })) return false;
  return isDue() ? undefined : true;
}

function subjectsOf({ digest, record }: EqualImage, manifests: Digest[]): Digest[] {
  return record?.destinationDigest === record?.sourceDigest ? [digest, ...manifests] : manifests;
}

/**
 * The same for an image of which {@link knownCompleteness} does not tell: the source is asked.
 * @throws TranshipError transient and throttled ones of the source
 */
export async function askCompleteness(
  deps: CompletenessDeps,
  image: EqualImage,
  choice: ReferrerChoice = defaultReferrers,
): Promise<Completeness> {
  const { client, signal, now } = deps;
  const { source, record } = image;
  const seen = record?.referrers;
  if (seen?.manifests === undefined) return firstLook(deps, image, choice);
  const at = now();
  const subjects = subjectsOf(image, seen.manifests);
  const { mark } = await findReferrers({ client, signal, source, subjects, choice });
  return mark === seen.mark ? { isComplete: true, seen: { ...seen, at } } : { isComplete: false };
}

/**
 * Of an image whose manifests nobody noted: one that is no index needs no more than this look; an index is complete where
 * its source has nothing that refers to anything. Else a copier has to read it.
 */
async function firstLook(
  { client, signal, now }: CompletenessDeps,
  { source, digest }: EqualImage,
  choice: ReferrerChoice,
): Promise<Completeness> {
  const at = now();
  const { referrers } = await findReferrers({ client, signal, source, subjects: [digest], choice });
  if (referrers.length > 0) return { isComplete: false };
  const { registry, repository } = source;
  const head = await headManifest(client, { registry, repository, digest }, { signal });
  if (head !== undefined && !isIndexType(head.mediaType))
    return { isComplete: true, seen: { at, mark: '', manifests: [] } };
  if (quirksOf(client, registry).referrers?.isServed) return { isComplete: false };
  const tags = await listReferrerTags(client, source, { signal });
  return tags?.size === 0 ? { isComplete: true, seen: { at, mark: '' } } : { isComplete: false };
}

/** Whether the tag lists of source and destination show that something is missing. */
function lacksListed(
  client: RegistryClient,
  { source, tags }: EqualImage,
  subjects: Digest[],
  { choice, mark }: { choice: ReferrerChoice; mark: string },
): boolean {
  const listed = knownReferrerTags(client, source);
  if (listed === undefined || listed.size === 0) return false;
  const suffixes = wantedSuffixes(choice);
  return subjects.some((subject) => {
    const tag = referrersTag(subject);
    if (mark === '' && listed.has(tag)) return true;
    return suffixes.some((suffix) => listed.has(`${tag}${suffix}`) && tags?.has(`${tag}${suffix}`) === false);
  });
}

/**
 * Asks source and destination what refers to an image, and compares: what a reader of the destination does not find is
 * missing.
 *
 * @throws TranshipError transient and throttled ones
 */
export async function verifyReferrers(
  { client, signal }: CompletenessDeps,
  { source, digest, target, record, actual }: EqualImage,
  choice: ReferrerChoice = defaultReferrers,
): Promise<string[]> {
  if (choice.types.length === 0) return [];
  const isWhole = (actual ?? digest) === digest;
  const subjects = [...(isWhole ? [digest] : []), ...(record?.referrers?.manifests ?? [])];
  const ask = (place: Target): Promise<FoundReferrers> =>
    findReferrers({ client, signal, source: place, subjects, choice });
  const [wanted, found] = await Promise.all([ask(source), ask(target)]);
  const there = new Set(found.referrers.map(keyOf));
  const missing: string[] = [];
  for (const referrer of wanted.referrers) {
    if (there.has(keyOf(referrer)) || !(await isWanted(client, source, referrer, choice, signal))) continue;
    missing.push(referrer.tag ?? referrer.digest);
  }
  return missing;
}

const keyOf = ({ subject, digest, tag = '' }: Referrer) => `${subject} ${digest} ${tag}`;

/** Whether a copy would bring it: lists do not always say what an artifact is, nor the truth. */
async function isWanted(
  client: RegistryClient,
  { registry, repository }: Target,
  { subject, digest, tag }: Referrer,
  choice: ReferrerChoice,
  signal: AbortSignal,
): Promise<boolean> {
  if (tag !== undefined) return true;
  try {
    const { bytes } = await getManifest(client, { registry, repository, digest }, { signal });
    const { subject: named, artifactType } = parseArtifact(bytes);
    return named === subject && wantsType(choice, artifactType);
  } catch (error) {
    if (hasCode(error, 'not-found', 'bad-manifest', 'limit-exceeded')) return false;
    throw error;
  }
}
