import { digestOf } from '../model/digest.ts';
import { hasCode, TranshipError } from '../model/errors.ts';
import { type Descriptor, parseReferrers } from '../model/manifest.ts';
import { isIndexType } from '../model/media-types.ts';
import { type Digest, formatRepository, type Repository } from '../model/reference.ts';
import { type ReferrerChoice, referrerKinds, referrersTag } from '../model/referrer.ts';
import { createSlots } from '../model/slots.ts';
import type { RegistryClient } from '../registry/client.ts';
import { getManifest, headManifest } from '../registry/manifests.ts';
import { listReferrerTags } from '../registry/referrer-tags.ts';
import { listReferrers, MOST_REFERRERS } from '../registry/referrers.ts';
import { mayWant, wantedSuffixes } from './referrer-types.ts';

/**
 * What one image may lead to by its referrers: artifacts, and how far referrers of referrers are followed. What is
 * beyond is left out, and told.
 */
const referrerLimits = { artifacts: MOST_REFERRERS, depth: 4 };
const SUBJECTS_AT_ONCE = 8;

/** An artifact that refers to a manifest, or a tag of cosign's beside it. */
export interface Referrer {
  subject: Digest;
  digest: Digest;
  /** cosign's, `sha256-<hex>.sig`; undefined where the artifact itself names its subject. */
  tag?: string;
}

export interface FoundReferrers {
  /** What speaks of the image first, then what speaks of that. */
  referrers: Referrer[];
  /** Short text that is another one when anything was added, removed or changed; `''` for none. */
  mark: string;
  /** What was left out, for people. */
  notes: string[];
}

export interface ReferrerQuestion {
  client: RegistryClient;
  source: Repository;
  /** The manifests of an image. */
  subjects: Digest[];
  choice: ReferrerChoice;
  /** Epoch ms: what was pushed before this is to be seen. */
  since?: number;
  signal: AbortSignal;
}

/**
 * Finds what refers to these manifests and, within limits, what refers to that: by the registry's API, by the referrers
 * tag of the distribution specification, and by cosign's tags. Whether a type is wanted shows for some only when they
 * are read.
 *
 * @throws TranshipError transient and throttled ones
 */
export async function findReferrers(question: ReferrerQuestion): Promise<FoundReferrers> {
  const { source, subjects, choice } = question;
  const referrers: Referrer[] = [];
  const notes = new Set<string>();
  const indexes: string[] = [];
  const seen = new Set(subjects);
  const slots = createSlots(SUBJECTS_AT_ONCE);
  let level = choice.types.length === 0 ? [] : [...seen];
  for (let depth = 1; level.length > 0 && depth <= referrerLimits.depth; depth += 1) {
    const found = await Promise.all(level.map((subject) => slots(() => findOf(question, subject, { notes, indexes }))));
    level = [];
    for (const referrer of found.flat()) {
      // A list that names its own subject, or what led to it, goes round in circles.
      if (referrer.tag === undefined && seen.has(referrer.digest)) continue;
      if (referrers.length === referrerLimits.artifacts) {
        notes.add(`more than ${referrerLimits.artifacts} artifacts refer to it: the others were left out`);
        break;
      }
      referrers.push(referrer);
      if (!seen.has(referrer.digest)) level.push(referrer.digest);
      seen.add(referrer.digest);
    }
  }
  const lines = [...indexes, ...referrers.map(({ subject, digest, tag = '' }) => `${subject} ${digest} ${tag}`)].sort();
  const mark = lines.length === 0 ? '' : digestOf(Buffer.from([...choice.types, ...lines].join('\n'))).slice(7, 31);
  return { referrers, mark, notes: [...notes].map((note) => `${note} (${formatRepository(source)})`) };
}

/** What the looks at all manifests have in common. */
interface Findings {
  notes: Set<string>;
  /** Tags behind which an index was read, whatever it names. */
  indexes: string[];
}

async function findOf(question: ReferrerQuestion, subject: Digest, { notes, indexes }: Findings): Promise<Referrer[]> {
  const { client, source, choice, since, signal } = question;
  const tags = await listReferrerTags(client, source, { since, signal });
  const answer = await listReferrers(client, source, subject, { artifactType: onlyType(choice), signal });
  const listed = answer.kind === 'served' ? answer.referrers : [];
  if (answer.kind === 'served' && answer.isCut) notes.add(`more than ${MOST_REFERRERS} artifacts refer to ${subject}`);
  const tag = referrersTag(subject);
  // An index from before the registry had the API may still be there.
  if (tags === undefined ? answer.kind === 'not-served' : tags.has(tag)) {
    const entries = await readIndex(question, subject, tag, notes);
    if (entries !== undefined) {
      indexes.push(tag);
      listed.push(...entries);
    }
  }
  const digests = new Set(listed.filter((entry) => mayWant(choice, entry)).map(({ digest }) => digest));
  const siblings = await findSiblings(question, subject, tag, tags);
  return [...[...digests].map((digest): Referrer => ({ subject, digest })), ...siblings];
}

/** The type that a registry can filter by. */
function onlyType({ types: [type, ...others] }: ReferrerChoice): string | undefined {
  const isType = type !== undefined && others.length === 0 && !type.includes('*');
  return isType && !(referrerKinds as readonly string[]).includes(type) ? type : undefined;
}

/** The entries of the index behind a referrers tag; undefined where there is none. */
async function readIndex(
  { client, source, signal }: ReferrerQuestion,
  subject: Digest,
  tag: string,
  notes: Set<string>,
): Promise<Descriptor[] | undefined> {
  const { registry, repository } = source;
  try {
    const { bytes, mediaType, digest } = await getManifest(client, { registry, repository, tag }, { signal });
    // GitLab takes the tag for the digest, and answers with the subject itself (oras-project/oras-go#1396).
    if (digest === subject) return undefined;
    const index = isIndexType(mediaType) ? parseReferrers(bytes, MOST_REFERRERS) : undefined;
    if (index === undefined) notes.add(`the tag ${tag} is no index of referrers`);
    if (index?.isCut) notes.add(`more than ${MOST_REFERRERS} artifacts refer to ${subject}`);
    return index?.entries;
  } catch (error) {
    if (hasCode(error, 'not-found')) return undefined;
    if (!isPermanent(error)) throw error;
    notes.add(`the index of referrers at the tag ${tag} cannot be read: ${error.message}`);
    return undefined;
  }
}

/** @param tags of the repository, where it gives a list */
async function findSiblings(
  { client, source, choice, signal }: ReferrerQuestion,
  subject: Digest,
  tag: string,
  tags: ReadonlySet<string> | undefined,
): Promise<Referrer[]> {
  if (tags?.size === 0) return [];
  const { registry, repository } = source;
  const names = wantedSuffixes(choice).map((suffix) => `${tag}${suffix}`);
  const asked = names.filter((name) => tags === undefined || tags.has(name));
  const found = await Promise.all(
    asked.map(async (name): Promise<Referrer[]> => {
      try {
        const head = await headManifest(client, { registry, repository, tag: name }, { signal });
        return head === undefined || head.digest === subject ? [] : [{ subject, digest: head.digest, tag: name }];
      } catch (error) {
        // Artifactory says 403 for a tag that is not there (sigstore/cosign#2973).
        if (tags === undefined && isPermanent(error)) return [];
        throw error;
      }
    }),
  );
  return found.flat();
}

function isPermanent(error: unknown): error is TranshipError {
  return error instanceof TranshipError && error.class === 'permanent' && error.code !== 'aborted';
}
