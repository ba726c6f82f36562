import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { formatTarget, type Target } from '../../core/model/reference.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { decode, failureSchema, type Item, type ReadItem } from './items.ts';
import type { Expression } from './table.ts';
import { targetFromText } from './targets.ts';

/** A partition takes 1,000 WCU a second; a run with a thousand copiers may write several thousand outcomes. */
const PARTITIONS = 8;

/** Where the outcomes of one destination are: one for each rule that names it. */
export function outcomesOf(runId: string, destination: Target): { pk: string; between: { from: string; to: string } } {
  const name = formatTarget(destination);
  // '!' follows the blank before the rule's hash.
  return { pk: partitionOf(runId, name), between: { from: `${name} `, to: `${name}!` } };
}

/** Partition keys of all the outcomes of a run. */
export function outcomePartitions(runId: string): string[] {
  return Array.from({ length: PARTITIONS }, (_, number) => partitionKey(runId, number));
}

function partitionOf(runId: string, name: string): string {
  return partitionKey(runId, createHash('sha256').update(name).digest().readUInt32BE() % PARTITIONS);
}

function partitionKey(runId: string, number: number): string {
  return `run#${runId}#outcomes#${number}`;
}

/** The item of an outcome, and when it may be written. */
export function outcomePut(outcome: Outcome, expiresAt: number): { item: Item; condition: Expression } {
  const { runId, source, destination, ...fields } = outcome;
  const name = formatTarget(destination);
  // A doubled task that finds its own work done must not undo the count (see Runs.recordOutcome).
  const keepsWork = outcome.result === 'unchanged';
  return {
    item: {
      ...fields,
      pk: partitionOf(runId, name),
      // Two rules may name one destination: each planned it, each has its outcome.
      sk: `${name} ${createHash('sha256').update(outcome.ruleId).digest('hex').slice(0, 16)}`,
      destination: name,
      source: formatTarget(source),
      expiresAt,
    },
    condition: {
      text: `attribute_not_exists(#pk) OR (#at <= :at${keepsWork ? ' AND NOT #result IN (:copied, :deleted)' : ''})`,
      values: { at: outcome.at, ...(keepsWork && { copied: 'copied', deleted: 'deleted' }) },
    },
  };
}

const texts = v.array(v.string());

const outcomeItem = v.object({
  ruleId: v.string(),
  source: v.string(),
  destination: v.string(),
  result: v.picklist(['copied', 'deleted', 'unchanged', 'failed', 'deferred']),
  sourceDigest: v.optional(v.string()),
  destinationDigest: v.optional(v.string()),
  failure: v.optional(failureSchema),
  platforms: v.optional(v.object({ platforms: texts, os: texts, arch: texts })),
  deletion: v.optional(v.picklist(['gone', 'unselected'])),
  bytes: v.number(),
  mounted: v.number(),
  present: v.number(),
  note: v.optional(v.string()),
  at: v.number(),
});

export function toOutcome(runId: string, item: ReadItem): Outcome {
  const { source, destination, ...fields } = decode(outcomeItem, item);
  return { ...fields, runId, source: targetFromText(source), destination: targetFromText(destination) };
}

/** What is added up of an outcome. */
export const outcomeSums = v.pick(outcomeItem, ['ruleId', 'result', 'bytes']);
