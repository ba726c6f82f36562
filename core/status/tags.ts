import type { Failure } from '../model/errors.ts';
import { type Digest, formatRepository, type Repository, type Target } from '../model/reference.ts';
import type { Outcome } from '../pipeline/ports/runs.ts';
import type { SyncRecord, SyncRecords } from '../pipeline/ports/sync-records.ts';
import { compareBytes } from '../rules/version.ts';

/**
 * How a destination tag stands: `in-step` with its source; `empty`, where the platform filter left nothing to copy;
 * `gone` from its destination, as was seen there; `deleted` there by a rule; or how its last try ended.
 */
export type TagState = 'in-step' | 'empty' | 'gone' | 'deleted' | 'failed' | 'deferred';

export interface TagRow {
  destination: Target;
  source: Target;
  state: TagState;
  /** Of the last copy, not of the try that failed. */
  sourceDigest?: Digest;
  destinationDigest?: Digest;
  /** When it came to its state. Epoch ms. */
  at: number;
  /** The rule of the last try, where it failed. */
  ruleId?: string;
  failure?: Failure;
}

export interface TagQuery {
  repository: Repository;
  /** Begin behind this tag or digest. */
  after?: string;
  /** Only names that hold this text. */
  text?: string;
  /** Only tags that are not in step. */
  problemsOnly?: boolean;
  limit: number;
}

export interface TagPage {
  rows: TagRow[];
  /** What the next page begins behind; undefined after the last one. */
  next?: string;
}

/** A search looks at so many records for one page; the next page goes on. */
const MOST_SEARCHED = 50_000;

/** How a tag stands, by what is known of its destination and by its last try where that failed. */
export function tagRow(record: SyncRecord | undefined, failing: Outcome | undefined): TagRow | undefined {
  if (failing !== undefined) {
    const { destination, source, ruleId, failure, at } = failing;
    const state = failing.result === 'deferred' ? 'deferred' : 'failed';
    const { sourceDigest, destinationDigest } = record ?? {};
    return { destination, source, state, sourceDigest, destinationDigest, at, ruleId, failure };
  }
  if (record === undefined) return undefined;
  const { destination, source, sourceDigest, destinationDigest, at, how } = record;
  const state = how === 'copied' || how === 'found' ? 'in-step' : how;
  return { destination, source, state, sourceDigest, destinationDigest, at };
}

/**
 * One page of the tags of a destination repository: those with a sync record and those that never arrived, in byte order,
 * digests behind the tags.
 *
 * @param failing outcomes of tags that are not in step, of any repository
 */
export async function listTags(
  ledger: Pick<SyncRecords, 'readRepository' | 'read'>,
  failing: readonly Outcome[],
  query: TagQuery,
): Promise<TagPage> {
  const { repository, after, text = '', limit } = query;
  const repositoryName = formatRepository(repository);
  const open = new Map(
    failing
      .filter(({ destination }) => formatRepository(destination) === repositoryName)
      .map((outcome) => [nameOf(outcome.destination), outcome] as const)
      .filter(([name]) => isBehind(name, after) && name.includes(text))
      .sort(([a], [b]) => compareNames(a, b)),
  );
  const rows: TagRow[] = [];
  const add = (row: TagRow | undefined): void => {
    if (row !== undefined) rows.push(row);
  };
  /** Those without a record whose place is before this name. */
  const addOpenBefore = (name: string | undefined): void => {
    for (const [openName, outcome] of open) {
      if (rows.length > limit || (name !== undefined && compareNames(openName, name) >= 0)) return;
      open.delete(openName);
      add(tagRow(undefined, outcome));
    }
  };
  if (query.problemsOnly === true) {
    for (const [name, outcome] of [...open].slice(0, limit + 1)) {
      open.delete(name);
      add(tagRow(await ledger.read(outcome.destination), outcome));
    }
    return pageOf(rows, limit);
  }
  let searched = 0;
  for await (const record of recordsBehind(ledger, repository, after)) {
    const name = nameOf(record.destination);
    searched += 1;
    if (name.includes(text)) {
      addOpenBefore(name);
      add(tagRow(record, open.get(name)));
      open.delete(name);
    }
    if (rows.length > limit) return pageOf(rows, limit);
    if (searched >= MOST_SEARCHED) return { rows, next: name };
  }
  addOpenBefore(undefined);
  return pageOf(rows, limit);
}

/** A page that has one more than it may. */
function pageOf(rows: TagRow[], limit: number): TagPage {
  if (rows.length <= limit) return { rows };
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, next: last && nameOf(last.destination) };
}

async function* recordsBehind(
  ledger: Pick<SyncRecords, 'readRepository'>,
  repository: Repository,
  after: string | undefined,
): AsyncGenerator<SyncRecord> {
  const isTag = after !== undefined && !isDigestName(after);
  if (isTag) {
    for await (const page of ledger.readRepository(repository, { from: after })) {
      for (const record of page) if (isBehind(nameOf(record.destination), after)) yield record;
    }
  }
  // A range of tags leaves digests out.
  for await (const page of ledger.readRepository(repository)) {
    for (const record of page) {
      const name = nameOf(record.destination);
      if (isBehind(name, after) && (!isTag || isDigestName(name))) yield record;
    }
  }
}

function nameOf({ tag, digest }: Target): string {
  return tag ?? digest;
}

function isDigestName(name: string): boolean {
  return name.includes(':');
}

function isBehind(name: string, after: string | undefined): boolean {
  return after === undefined || compareNames(name, after) > 0;
}

/** Tags in byte order, then digests. */
function compareNames(a: string, b: string): number {
  return Number(isDigestName(a)) - Number(isDigestName(b)) || compareBytes(a, b);
}
