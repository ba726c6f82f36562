import { type Choice, chooseContent } from '../copy/platforms.ts';
import { TranshipError, toTranshipError } from '../model/errors.ts';
import { platformKey } from '../model/platform.ts';
import { type Digest, formatRepository, type Repository, type Target } from '../model/reference.ts';
import type { Destination, Rule } from '../model/rule.ts';
import type { Access } from '../registry/call.ts';
import type { RegistryClient } from '../registry/client.ts';
import { warnOnce } from '../registry/headers/warning.ts';
import { getManifest, headDigest } from '../registry/manifests.ts';
import { type Pace, paceBounds, paceOf } from '../registry/pace.ts';
import { noteReferrerTags } from '../registry/referrer-tags.ts';
import { listTagsWithDigests, type TagListPage } from '../registry/tags.ts';
import { selectTags } from '../rules/select.ts';
import { compareBytes } from '../rules/version.ts';
import { type ChildLook, createChildLook } from './children.ts';
import {
  compareAsked,
  compareKnown,
  compareVerified,
  complete,
  type DestinationState,
  isSurelyNew,
  isThere,
  type Listed,
  type Look,
  unlessStopped,
} from './destination-state.ts';
import type { Ledger } from './ports/ledger.ts';
import type { SyncRecord } from './ports/sync-records.ts';
import { createSourceDigests, type SourceDigests } from './source-digests.ts';

export interface ExpandDeps {
  client: RegistryClient;
  ledger: Ledger;
  signal: AbortSignal;
  /** Epoch ms. */
  now: () => number;
}

export interface ExpandOptions {
  /** Begin behind this source tag, in byte order. */
  after?: string;
  /** Ask every destination tag for its digest, and for what an index leads to, instead of trusting the ledger. */
  verify?: boolean;
  /** Whoever asks wants to know what to copy: a tag that no destination has is not asked for at its source. */
  onlyWhatDecides?: boolean;
}

/** One source tag of a rule, and how its destinations stand to it. */
export interface ExpandedTag {
  source: Target;
  /** The source's digest; undefined where it could not be had (see `error`), or decides nothing. */
  digest: Digest | undefined;
  error?: TranshipError;
  destinations: DestinationState[];
}

/** A page is what is planned, sent and recorded as a whole; as long as registries' and the ledger's own pages. */
const PAGE_TAGS = 1000;
/** More than are asked for at a time, so that no registry waits for another's answers. */
const TAGS_AT_ONCE = 2 * paceBounds.most;

/**
 * Expands a rule page by page: which of its tags are in step. Reads only.
 *
 * An unchanged tag costs one HEAD at its source (none for a digest, or where the registry tells digests many at once)
 * and nothing at a destination but its share of one tag list and of one ledger page. A destination tag that the ledger
 * does not know is asked for by HEAD.
 *
 * @throws TranshipError where the rule cannot be expanded: no tag list, or counts of tags that do not match; throttled
 *   where a registry wants to be left alone
 */
export async function* expandRule(
  deps: ExpandDeps,
  rule: Rule,
  options: ExpandOptions = {},
): AsyncGenerator<{ tags: ExpandedTag[]; last: string; isEnd: boolean; lists: RuleLists }> {
  // At once with the source's list, which will hardly be empty.
  const destinations = isListed(rule) ? listDestinations(deps, rule) : undefined;
  destinations?.catch(() => {});
  const { keys, pairAt, listed } = await listPairs(deps, rule);
  const { after, verify = false } = options;
  // Positions only: a page's pairs are made when it is its turn, so that a hundred thousand tags are little more than
  // their names.
  const rest = keys.map((_, position) => position).sort((a, b) => compareBytes(keys[a] ?? '', keys[b] ?? ''));
  if (after !== undefined) rest.splice(0, rest.findLastIndex((at) => compareBytes(keys[at] ?? '', after) <= 0) + 1);
  const present: Presence =
    rest.length > 0 || rule.delete !== undefined ? await (destinations ?? listDestinations(deps, rule)) : new Map();
  // What is at no destination is copied, whatever its digest is.
  const decides = (position: number) =>
    !options.onlyWhatDecides ||
    pairAt(position).destinations.some(
      (target) => isThere(present.get(formatRepository(target)), target, undefined).isPresent !== false,
    );
  const wanted = verify || rule.select.kind === 'digest' ? [] : rest.filter(decides);
  const digests = await createSourceDigests(
    deps,
    rule.from,
    wanted.map((position) => keys[position] ?? ''),
    listed,
  );
  const children = verify ? createChildLook(deps) : undefined;
  const lists: RuleLists = { sourceTags: listed?.tags ?? [], present };
  for (let start = 0; ; start += PAGE_TAGS) {
    const page = rest.slice(start, start + PAGE_TAGS).map(pairAt);
    const isEnd = start + PAGE_TAGS >= rest.length;
    const tags = await expandPage(deps, rule, page, { ...options, present, digests, children });
    yield { tags, last: page.at(-1)?.key ?? after ?? '', isEnd, lists };
    if (isEnd) return;
  }
}

/** The lists of tags that a rule is expanded by. */
export interface RuleLists {
  /** All tags of the source; empty where the rule says itself which to take. */
  sourceTags: string[];
  present: Presence;
}

/**
 * Reads the lists alone.
 * @throws TranshipError as {@link expandRule}
 */
export async function listRule(deps: ExpandDeps, rule: Rule): Promise<RuleLists> {
  const { listed } = await listPairs(deps, rule);
  return { sourceTags: listed?.tags ?? [], present: await listDestinations(deps, rule) };
}

/** A source tag with its destinations; `key` is what pages are ordered by. */
interface Pair {
  key: string;
  source: Target;
  destinations: Target[];
  isListed: boolean;
}

/** Whether the source's tags decide what the rule takes. */
const isListed = ({ select }: Rule) => select.kind !== 'digest' && select.kind !== 'tags';

/**
 * Names at a destination are one for each tag that the rule takes; how many those are, only the source tells.
 * @throws TranshipError `config-invalid`
 */
export function checkNames(from: Repository, tags: readonly string[], destination: Destination): void {
  const { tags: names } = destination;
  if (names === undefined || names.length === tags.length) return;
  throw new TranshipError(
    `${formatRepository(from)} has ${tags.length} tags for this rule, and ${formatRepository(destination)} names ${names.length}`,
    {
      class: 'permanent',
      code: 'config-invalid',
      mend: 'Leave the tags of the destination out, or name as many as the source gives.',
    },
  );
}

/** All that a rule takes: keys in the rule's order, and the pair of each; and the source's list, where it was read. */
async function listPairs(
  deps: ExpandDeps,
  rule: Rule,
): Promise<{ keys: string[]; pairAt: (position: number) => Pair; listed?: TagListPage }> {
  const { select, from } = rule;
  if (select.kind === 'digest') {
    const destinations = rule.to.map(
      ({ registry, repository, tags }): Target =>
        tags?.[0] === undefined
          ? { registry, repository, digest: select.digest }
          : { registry, repository, tag: tags[0] },
    );
    const { digest } = select;
    const pair = { key: digest, source: { ...from, digest }, destinations, isListed: false };
    return { keys: [digest], pairAt: () => pair };
  }
  const listed = isListed(rule) ? await collectTags(deps, from) : undefined;
  const tags = selectTags(select, listed?.tags ?? []);
  const count = listed?.tags.length ?? 0;
  if (tags.length === 0 && count > 0) {
    const name = formatRepository(from);
    // By the rule: one for many repositories says so of a few.
    warnOnce(
      deps.client,
      rule.id,
      `the rule ${rule.id} takes no tag of ${name}, which has ${count}: see tranship explain`,
    );
  }
  for (const destination of rule.to) checkNames(from, tags, destination);
  return {
    keys: tags,
    listed,
    pairAt(position) {
      const tag = tags[position] ?? '';
      const destinations = rule.to.map(({ registry, repository, tags: names }) => ({
        registry,
        repository,
        tag: names?.[position] ?? tag,
      }));
      return { key: tag, source: { ...from, tag }, destinations, isListed: isListed(rule) };
    },
  };
}

async function collectTags(
  { client, signal }: ExpandDeps,
  repository: Repository,
  access: Access = 'pull',
): Promise<TagListPage> {
  const at = Date.now();
  const all: TagListPage = { tags: [], digests: new Map() };
  for await (const { tags, digests } of listTagsWithDigests(client, repository, { access, signal })) {
    for (const tag of tags) all.tags.push(tag);
    for (const [tag, digest] of digests) all.digests.set(tag, digest);
  }
  noteReferrerTags(client, repository, all.tags, at);
  return all;
}

/** Tags of each destination repository. */
type Presence = Map<string, Listed>;

async function listDestinations(deps: ExpandDeps, rule: Rule): Promise<Presence> {
  const presence: Presence = new Map();
  const tagged = rule.to.filter((destination) => rule.select.kind !== 'digest' || destination.tags !== undefined);
  await Promise.all(
    tagged.map(async (destination) => {
      try {
        const { tags } = await collectTags(deps, destination, 'push');
        presence.set(formatRepository(destination), new Set(tags));
      } catch (thrown) {
        const error = toTranshipError(thrown);
        if (error.class === 'throttled' || error.code === 'aborted') throw error;
        const name = formatRepository(destination);
        if (error.code === 'not-found') presence.set(name, new Set());
        else if (error.class !== 'transient') presence.set(name, 'not-listed');
        else {
          presence.set(name, 'unreachable');
          warnOnce(
            deps.client,
            name,
            `${name} cannot be asked for its tags, so the ledger is believed: ${error.message}`,
          );
        }
      }
    }),
  );
  return presence;
}

async function expandPage(
  deps: ExpandDeps,
  rule: Rule,
  page: Pair[],
  known: ExpandOptions & { present: Presence; digests: SourceDigests; children: ChildLook | undefined },
): Promise<ExpandedTag[]> {
  const { present, digests, children, verify = false } = known;
  const platforms = platformKey(rule.platforms);

  async function readKnown(): Promise<Map<string, SyncRecord>> {
    const records = await readRecords(deps.ledger, page);
    await digests.check(page.map(({ source }) => source));
    return records;
  }

  async function expandTag(pair: Pair): Promise<ExpandedTag> {
    const { source } = pair;
    const looks = pair.destinations.map((target): Look => {
      const record = records.get(keyOf(target));
      const tags = present.get(formatRepository(target));
      const { isPresent, lacking } = isThere(tags, target, record);
      return { target, record, tags, isPresent, lacking };
    });
    const told = digests.of(source) ?? source.digest;
    if (known.onlyWhatDecides && looks.every((look) => isSurelyNew(look, platforms))) {
      const destinations = looks.map(({ target, record, lacking }) => ({
        target,
        record,
        lacking,
        state: 'new' as const,
      }));
      return { source, digest: told, destinations };
    }
    const { digest, error } =
      told === undefined ? await headSource(deps, pace, pair, verify ? undefined : lastOf(looks)) : { digest: told };
    let choice: Promise<Choice> | undefined;
    const choose = (wanted: Digest) => {
      choice ??= chooseFrom(deps, rule, { ...rule.from, digest: wanted });
      return choice;
    };
    const destinations: DestinationState[] = [];
    for (const look of looks) {
      const { target, record } = look;
      const given = { ...look, digest, platforms, verify };
      const compared = verify
        ? await compareVerified(deps, given, choose)
        : (compareKnown(given) ?? (await compareAsked(deps, given)));
      const completed = await complete(deps, rule, { ...look, source, digest }, compared, children);
      destinations.push({ target, record, ...compared, ...completed });
    }
    return error === undefined ? { source, digest, destinations } : { source, digest, error, destinations };
  }

  const pace = paceOf(deps.client, rule.from.registry);
  const { room } = pace;
  await room.enter(page.length);
  const records = await readKnown().catch((error) => {
    room.leave(page.length);
    throw error;
  });
  const expanded: ExpandedTag[] = new Array(page.length);
  let begun = 0;

  async function expandNext(): Promise<void> {
    for (let pair = page[begun]; pair !== undefined; pair = page[begun]) {
      const at = begun;
      begun += 1;
      try {
        expanded[at] = await expandTag(pair);
      } catch (error) {
        // The rest is not begun.
        room.leave(page.length - begun);
        begun = page.length;
        throw error;
      } finally {
        room.leave(1);
      }
    }
  }

  await Promise.all(Array.from({ length: Math.min(TAGS_AT_ONCE, page.length) }, expandNext));
  return expanded;
}

/** The destination records of a page, read as one range per repository. */
async function readRecords(ledger: Ledger, page: Pair[]): Promise<Map<string, SyncRecord>> {
  const byRepository = new Map<string, Target[]>();
  for (const target of page.flatMap((pair) => pair.destinations)) {
    const key = formatRepository(target);
    const targets = byRepository.get(key);
    if (targets === undefined) byRepository.set(key, [target]);
    else targets.push(target);
  }
  const records = new Map<string, SyncRecord>();
  for (const targets of byRepository.values()) {
    const [first] = targets;
    if (first === undefined) continue;
    if (first.tag === undefined) {
      const record = await ledger.read(first);
      if (record !== undefined) records.set(keyOf(first), record);
      continue;
    }
    const names = targets.map((target) => target.tag ?? '').sort(compareBytes);
    const range = { from: names[0] ?? '', to: names.at(-1) ?? '' };
    const wanted = new Set(targets.map(keyOf));
    for await (const part of ledger.readRepository(first, range)) {
      for (const record of part) {
        const key = keyOf(record.destination);
        if (wanted.has(key)) records.set(key, record);
      }
    }
  }
  return records;
}

/** What a rule's filter of platforms leaves of an image. */
async function chooseFrom({ client, signal }: ExpandDeps, { platforms }: Rule, source: Target): Promise<Choice> {
  const manifest = await getManifest(client, source, { signal });
  return chooseContent({ client, signal, retry: client.options.retry }, source, manifest, platforms);
}

const keyOf = (target: Target) => `${formatRepository(target)} ${target.tag ?? target.digest}`;

/** The digest that a destination was made from. */
function lastOf(looks: Look[]): Digest | undefined {
  return looks.find(({ record }) => record !== undefined)?.record?.sourceDigest;
}

type SourceHead = { digest: Digest | undefined; error?: TranshipError };

/**
 * What the source has now. A tag that a list names and the registry does not have is an error: it stays in the report.
 */
async function headSource(
  { client, signal }: ExpandDeps,
  pace: Pace,
  pair: Pair,
  last: Digest | undefined,
): Promise<SourceHead> {
  try {
    const digest = await pace.ask(() => headDigest(client, pair.source, { last, signal }));
    if (digest !== undefined) return { digest };
    const { tag } = pair.source;
    const what = pair.isListed
      ? `the source lists the tag ${tag} and does not have it`
      : `the source has no tag ${tag}`;
    return {
      digest: undefined,
      error: new TranshipError(what, {
        class: 'permanent',
        code: 'not-found',
        registry: pair.source.registry,
        repository: pair.source.repository,
        operation: 'head manifest',
      }),
    };
  } catch (thrown) {
    return { digest: undefined, error: unlessStopped(thrown) };
  }
}
