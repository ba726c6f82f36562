import { TranshipError } from '../model/errors.ts';
import { formatRepository, type Repository } from '../model/reference.ts';
import { isReferrerTag } from '../model/referrer.ts';
import type { DeletionPolicy, Destination, Rule } from '../model/rule.ts';
import { matchesTag, selectTags } from '../rules/select.ts';
import { orderByAge } from '../rules/version.ts';
import type { SyncRecord } from './ports/sync-records.ts';

/** Why a tag is to go: its source does not have it any more, or the rule does not take it any more. */
export type DeletionReason = 'gone' | 'unselected';

/** A tag that is to be deleted at a destination. */
export interface SurplusTag {
  record: SyncRecord;
  reason: DeletionReason;
}

export interface DeletionState {
  /** All tags of the source. Empty for a rule that lists its tags: it does not ask. */
  sourceTags: readonly string[];
  /** The destination, and all tags of its repository. */
  destination: Destination;
  present: ReadonlySet<string>;
  /** What the ledger knows of that repository. */
  records: readonly SyncRecord[];
  /** Other rules, for one repository each; those with other destinations do not matter. */
  rules: readonly Rule[];
  /** Epoch ms. */
  now: number;
}

const DAY_MS = 24 * 3_600_000;

/**
 * Decides which tags of one destination are to be deleted, by the rule's own words: none where it does not say
 * `delete`. Only what this rule copied there is looked at, as the ledger tells.
 *
 * @throws TranshipError `too-many-deletions` where the source has no tags at all, or more would go within a day than
 *   the rule allows: a list that is cut short looks the same
 */
export function decideDeletions(rule: Rule, policy: DeletionPolicy, state: DeletionState): SurplusTag[] {
  const { sourceTags, destination, present, records, rules, now } = state;
  const source = new Set(sourceTags);
  const taken = selectTags(rule.select, sourceTags);
  const wanted = new Set(destination.tags ?? taken);
  const mine = records.filter((record) => isFrom(record, rule.from));
  // Tags of signatures belong to their image, and were copied as tags of images by versions before this one.
  const brought = mine.filter(
    ({ how, destination: { tag = '' } }) => how === 'copied' && present.has(tag) && !isReferrerTag(tag),
  );
  const kept = new Set(policy.keep === undefined ? [] : orderByAge(brought.map(tagOf)).slice(-policy.keep));
  const rivals = rules.filter((other) => other.to.some((to) => isSame(to, destination)));
  const surplus = brought.flatMap((record): SurplusTag[] => {
    const reason = reasonAgainst(rule, policy, record, source);
    if (reason === undefined || wanted.has(tagOf(record)) || kept.has(tagOf(record))) return [];
    if (policy.olderThanMs !== undefined && now - record.at < policy.olderThanMs) return [];
    if (rivals.some((other) => isClaimed(other, destination, record, reason))) return [];
    return [{ record, reason }];
  });
  if (surplus.length === 0) return [];
  if (rule.select.kind !== 'tags' && source.size === 0) {
    throw tooMany(rule, destination, `${formatRepository(rule.from)} lists no tags at all`);
  }
  const before = mine.filter(({ how, at }) => how === 'deleted' && now - at < DAY_MS).length;
  const counted = surplus.filter((one) => !isOutranked(rule, one)).length;
  const limit = limitOf(policy, brought.length + before);
  if (counted > 0 && counted + before > limit) {
    const earlier = before > 0 ? `, after ${before} within a day` : '';
    throw tooMany(
      rule,
      destination,
      `${counted} of the ${brought.length} tags that it brought would go${earlier}, and it allows ${limit}`,
    );
  }
  return surplus;
}

/** The reason why the rule's policy would have a tag go; undefined where it stays. */
function reasonAgainst(
  { select }: Rule,
  { tags }: DeletionPolicy,
  { source: { tag = '' } }: SyncRecord,
  sourceTags: ReadonlySet<string>,
): DeletionReason | undefined {
  const isUnasked = select.kind === 'tags';
  if (sourceTags.has(tag) || isUnasked) return tags === 'unselected' ? 'unselected' : undefined;
  // A tag that the rule would not take if it came back is out of its filter: the source says nothing about it.
  return tags === 'unselected' || matchesTag(select, tag) ? 'gone' : undefined;
}

/** Newer tags pushed it out of `newest`: it went because others came, which is no sign of trouble. */
function isOutranked({ select }: Rule, { record, reason }: SurplusTag): boolean {
  return (
    reason === 'unselected' &&
    select.kind === 'filter' &&
    select.newest !== undefined &&
    matchesTag(select, record.source.tag ?? '')
  );
}

/**
 * Whether another rule may bring the tag: from another source at any time, from the same one only where it is there.
 */
function isClaimed(other: Rule, destination: Destination, record: SyncRecord, reason: DeletionReason): boolean {
  const isSameSource = isFrom(record, other.from);
  if (isSameSource && reason === 'gone') return false;
  return other.to.some((to) => {
    if (!isSame(to, destination)) return false;
    if (to.tags !== undefined) return to.tags.includes(tagOf(record));
    return matchesTag(other.select, isSameSource ? (record.source.tag ?? '') : tagOf(record));
  });
}

function limitOf({ max }: DeletionPolicy, brought: number): number {
  return 'count' in max ? max.count : Math.ceil((brought * max.percent) / 100);
}

function tooMany(rule: Rule, destination: Destination, what: string): TranshipError {
  return new TranshipError(`nothing is deleted at ${formatRepository(destination)}: ${what}`, {
    class: 'permanent',
    code: 'too-many-deletions',
    registry: destination.registry,
    repository: destination.repository,
    mend: `look at the tags of ${formatRepository(rule.from)}; where they are right, raise max in the rule's delete`,
  });
}

function isFrom({ source }: SyncRecord, from: Repository): boolean {
  return source.tag !== undefined && isSame(source, from);
}

function isSame(a: Repository, b: Repository): boolean {
  return a.registry === b.registry && a.repository === b.repository;
}

function tagOf({ destination }: SyncRecord): string {
  return destination.tag ?? '';
}
