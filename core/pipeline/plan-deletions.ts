import { formatRepository } from '../model/reference.ts';
import type { Rule } from '../model/rule.ts';
import { selectTags } from '../rules/select.ts';
import { rulesInto } from '../rules/wildcard.ts';
import { decideDeletions, type SurplusTag } from './deletions.ts';
import type { RuleLists } from './expand.ts';
import type { Ledger } from './ports/ledger.ts';
import type { PlanMessage, Task } from './ports/queue.ts';
import type { SyncRecord } from './ports/sync-records.ts';

/**
 * What a rule deletes at its destinations. A destination that gives no list of its tags is left alone: what is there is
 * not known. Reads the ledger of a destination only where it has tags that the rule does not bring.
 *
 * @param rules all rules of the rule set
 * @param now epoch ms
 * @throws TranshipError `too-many-deletions`, then nothing is deleted at any destination
 */
export async function findDeletions(
  ledger: Pick<Ledger, 'readRepository'>,
  rule: Rule,
  { lists, rules, now }: { lists: RuleLists; rules: readonly Rule[]; now: number },
): Promise<SurplusTag[]> {
  const { delete: policy } = rule;
  if (policy === undefined) return [];
  const surplus: SurplusTag[] = [];
  for (const destination of rule.to) {
    const present = lists.present.get(formatRepository(destination));
    if (present === undefined || typeof present === 'string') continue;
    const wanted = new Set(destination.tags ?? selectTags(rule.select, lists.sourceTags));
    if ([...present].every((tag) => wanted.has(tag))) continue;
    const records: SyncRecord[] = [];
    for await (const page of ledger.readRepository(destination)) for (const record of page) records.push(record);
    const rivals = rules.filter((other) => other.id !== rule.id).flatMap((other) => rulesInto(other, destination));
    const state = { sourceTags: lists.sourceTags, destination, present, records, rules: rivals, now };
    for (const one of decideDeletions(rule, policy, state)) surplus.push(one);
  }
  return surplus;
}

/** The task that deletes a tag, if it still may go when it runs. */
export function deletionTask(
  { runId, ruleId }: PlanMessage,
  { record: { source, destination }, reason }: SurplusTag,
  plannedAt: number,
): Task {
  return {
    version: 1,
    runId,
    ruleId,
    source,
    destinations: [destination],
    platforms: { platforms: [], os: [], arch: [] },
    force: false,
    plannedAt,
    deletion: reason,
    attempt: 0,
  };
}
