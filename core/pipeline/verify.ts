import { type Failure, toFailure } from '../model/errors.ts';
import { platformKey } from '../model/platform.ts';
import { type Digest, formatTarget, type Target } from '../model/reference.ts';
import type { Rule } from '../model/rule.ts';
import type { DestinationState } from './destination-state.ts';
import { discoverRules } from './discover.ts';
import { type ExpandDeps, type ExpandedTag, expandRule } from './expand.ts';
import { findDeletions } from './plan-deletions.ts';
import { isStanding, type SyncRecord } from './ports/sync-records.ts';

/** How one destination tag compares with what it should hold. */
export interface VerifyRow {
  ruleId?: string;
  source?: Target;
  destination: Target;
  /**
   * `empty`: no platform of the source passes the rule's filter, so nothing is to be there. `incomplete`: what it leads
   * to or what refers to it is not all there. `surplus`: it is there, and the next sync would delete it.
   */
  state: 'ok' | 'empty' | 'differs' | 'missing' | 'incomplete' | 'surplus' | 'unreadable';
  /** The digest that should be there; undefined where neither source nor ledger could tell. */
  expected: Digest | undefined;
  /** The digest that is there. */
  actual: Digest | undefined;
  /** With `incomplete`: tags and digests of what is not there. */
  lacks?: string[];
  /** Why it could not be read. */
  failure?: Failure;
}

/**
 * Asks every destination tag of a rule for its digest and compares it with the source's, and names the tags that the
 * rule would delete. Where the ledger believed otherwise it is corrected, so that the next sync copies the tag again.
 *
 * @param rules all rules of the rule set
 * @returns ordered by destination within each source tag; where the rule could not be expanded, one row for each
 *   destination repository, with the tag `*`
 * @throws TranshipError `aborted`
 */
export async function verifyRule(
  deps: ExpandDeps & { now: () => number },
  rule: Rule,
  rules: readonly Rule[] = [rule],
): Promise<VerifyRow[]> {
  const rows: VerifyRow[] = [];
  try {
    if (rule.discover !== undefined) {
      for (const one of await discoverRules(deps, rule)) {
        const found = await verifyRule(deps, one, rules);
        const isEmpty = found.every(
          ({ failure }) => failure?.code === 'not-found' && failure.operation === 'list tags',
        );
        if (!isEmpty) for (const row of found) rows.push(row);
      }
      return rows;
    }
    for await (const page of expandRule(deps, rule, { verify: true })) {
      for (const tag of page.tags) {
        const findings = tag.destinations.map((destination) => judgeDestination(rule, tag, destination, deps.now()));
        for (const { correction } of findings) if (correction !== undefined) await deps.ledger.write(correction);
        rows.push(...findings.map(({ row }) => row).sort(byDestination));
      }
      if (!page.isEnd) continue;
      for (const { record } of await findDeletions(deps.ledger, rule, { lists: page.lists, rules, now: deps.now() })) {
        const { source, destination, destinationDigest: actual } = record;
        rows.push({ ruleId: rule.id, source, destination, state: 'surplus', expected: undefined, actual });
      }
    }
  } catch (error) {
    if (deps.signal.aborted) throw error;
    const failure = toFailure(error);
    for (const { registry, repository } of rule.to) {
      const destination = { registry, repository, tag: '*' };
      rows.push({ ruleId: rule.id, destination, state: 'unreadable', expected: undefined, actual: undefined, failure });
    }
  }
  return rows;
}

/** What is told of a destination, and the record that the ledger should have instead of its own. */
export interface Finding {
  row: VerifyRow;
  correction?: SyncRecord;
}

/** @param now epoch ms */
export function judgeDestination(rule: Rule, tag: ExpandedTag, destination: DestinationState, now: number): Finding {
  const { target, record, actual, missing = [], lost = [] } = destination;
  const lacks = [...lost, ...missing];
  const platforms = platformKey(rule.platforms);
  const isRecorded = record !== undefined && record.platforms === platforms && record.sourceDigest === tag.digest;
  // A subset of the platforms has a digest of its own, which the record tells, or the source.
  const expected = isRecorded ? record.destinationDigest : platforms === '' ? tag.digest : destination.wanted;
  const state = stateOf(tag, destination);
  const error = tag.error ?? destination.error;
  const row: VerifyRow = {
    ruleId: rule.id,
    source: tag.source,
    destination: target,
    state,
    expected,
    actual,
    ...(lacks.length > 0 && { lacks }),
    failure: error && toFailure(error),
  };
  if (state === 'ok' && record?.how === 'gone' && record.destinationDigest === actual) {
    return { row, correction: { ...record, how: 'found', at: Math.max(now, record.at + 1) } };
  }
  // The next sync copies it again, although the tag is there.
  if (lost.length > 0 && tag.digest !== undefined) {
    const at = Math.max(now, (record?.at ?? 0) + 1);
    const digests = { sourceDigest: tag.digest, destinationDigest: actual };
    return { row, correction: { destination: target, source: tag.source, ...digests, platforms, at, how: 'gone' } };
  }
  // The next sync looks again at what refers to it.
  if (state === 'incomplete' && record?.referrers !== undefined) {
    return { row, correction: { ...record, referrers: undefined } };
  }
  const isBelieved = record !== undefined && isStanding(record) && record.destinationDigest !== undefined;
  if ((state !== 'missing' && state !== 'differs') || !isBelieved || record.destinationDigest === actual)
    return { row };
  return { row, correction: { ...record, how: 'gone', at: Math.max(now, record.at + 1) } };
}

function stateOf(tag: ExpandedTag, { state, isEmpty, error }: DestinationState): VerifyRow['state'] {
  if (tag.error !== undefined || error !== undefined) return 'unreadable';
  if (isEmpty) return 'empty';
  switch (state) {
    case 'in-step':
    case 'found':
      return 'ok';
    case 'incomplete':
      return 'incomplete';
    case 'new':
      return 'missing';
    case 'changed':
    case 'unknown':
      return 'differs';
  }
}

function byDestination(a: VerifyRow, b: VerifyRow): number {
  const [first, second] = [formatTarget(a.destination), formatTarget(b.destination)];
  return first < second ? -1 : first > second ? 1 : 0;
}
