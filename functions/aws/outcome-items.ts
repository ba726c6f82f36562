import { createHash } from 'node:crypto';
import { formatTarget } from '../../core/model/reference.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import type { Item, Plain } from './items.ts';
import type { Expression } from './table.ts';
import { targetFromText } from './targets.ts';

/** A partition takes 1,000 WCU a second; a run with a thousand copiers may write several thousand outcomes. */
const PARTITIONS = 8;

/** Partition keys of all the outcomes of a run. */
export function outcomePartitions(runId: string): string[] {
  return Array.from({ length: PARTITIONS }, (_, number) => `run#${runId}#outcomes#${number}`);
}

/** The item of an outcome, and when it may be written. */
export function outcomePut(outcome: Outcome, expiresAt: number): { item: Item; condition: Expression } {
  const { runId, source, destination, failure, ...fields } = outcome;
  const name = formatTarget(destination);
  const partition = createHash('sha256').update(name).digest().readUInt32BE() % PARTITIONS;
  // See Ledger.recordOutcome: a doubled task that finds its own work done does not undo the count.
  const keepsCopied = outcome.result === 'unchanged';
  return {
    item: {
      ...fields,
      pk: outcomePartitions(runId)[partition]!,
      // Two rules may name one destination: each planned it, each has its outcome.
      sk: `${name} ${createHash('sha256').update(outcome.ruleId).digest('hex').slice(0, 16)}`,
      destination: name,
      source: formatTarget(source),
      failure: failure && { ...failure },
      expiresAt,
    },
    condition: {
      text: `attribute_not_exists(#pk) OR (#at <= :at${keepsCopied ? ' AND #result <> :copied' : ''})`,
      values: { at: outcome.at, ...(keepsCopied && { copied: 'copied' }) },
    },
  };
}

export function toOutcome(runId: string, item: Record<string, Plain>): Outcome {
  const { pk: _pk, sk: _sk, source, destination, expiresAt: _expiresAt, ...fields } = item;
  return {
    ...fields,
    runId,
    source: targetFromText(source as string),
    destination: targetFromText(destination as string),
  } as unknown as Outcome;
}
