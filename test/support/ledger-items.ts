import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Failure } from '../../core/model/errors.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';
import items from './fixtures/ledger-items.json' with { type: 'json' };

const at = 1_800_000_000_000;
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const source = { registry: 'docker.io', repository: 'library/nginx' };
export const mirror = { registry: 'registry.example.com:5000', repository: 'mirror/nginx' };

/** One sync record of each kind, in the order of their keys. */
export const records: SyncRecord[] = [
  {
    destination: { ...mirror, tag: '1' },
    source: { ...source, tag: '1' },
    sourceDigest: digest('a'),
    destinationDigest: digest('a'),
    platforms: '',
    at,
    how: 'copied',
  },
  {
    destination: { ...mirror, tag: 'empty' },
    source: { ...source, tag: 'empty' },
    sourceDigest: digest('b'),
    destinationDigest: undefined,
    platforms: 'windows/amd64',
    at,
    how: 'empty',
  },
  {
    destination: { ...mirror, tag: 'subset' },
    source: { ...source, tag: 'subset' },
    sourceDigest: digest('c'),
    destinationDigest: digest('d'),
    platforms: 'linux/amd64',
    at,
    how: 'found',
  },
  {
    destination: { ...mirror, digest: digest('e') },
    source: { ...source, digest: digest('e') },
    sourceDigest: digest('e'),
    destinationDigest: digest('e'),
    platforms: '',
    at,
    how: 'gone',
  },
];

const failure: Failure = {
  class: 'permanent',
  code: 'denied',
  message: 'the registry denies it',
  registry: mirror.registry,
  repository: mirror.repository,
  operation: 'put manifest',
  status: 403,
  mend: 'grant the right to push',
};

export const runId = 'daily-2026-11-24T03:00:00Z';
export const endedRunId = 'daily-2026-11-23T03:00:00Z';

/** One outcome of each kind, ordered by destination. */
export const outcomes: Outcome[] = [
  {
    runId,
    ruleId: 'nginx',
    source: { ...source, tag: '1' },
    destination: { ...mirror, tag: '1' },
    result: 'copied',
    sourceDigest: digest('a'),
    destinationDigest: digest('a'),
    bytes: 1234,
    mounted: 1,
    present: 2,
    at,
  },
  {
    runId,
    ruleId: 'nginx',
    source: { ...source, tag: '2' },
    destination: { ...mirror, tag: '2' },
    result: 'failed',
    failure,
    bytes: 0,
    mounted: 0,
    present: 0,
    note: 'given up after 4 rounds of tries',
    at,
  },
  {
    runId,
    ruleId: 'nginx',
    source: { ...source, tag: '3' },
    destination: { ...mirror, tag: '3' },
    result: 'unchanged',
    sourceDigest: digest('f'),
    bytes: 0,
    mounted: 0,
    present: 0,
    at,
  },
];

/** Writes an item of each kind that the ledger has; its clock must stand at 1,800,000,000,000. */
export async function fillLedger(ledger: Ledger): Promise<void> {
  for (const record of records) await ledger.write(record);
  await ledger.writeBlobs(mirror, [digest('a')], at);
  await ledger.acquireLease('tag registry.example.com:5000/mirror/nginx:1', 'owner', 60_000);
  await ledger.park('docker.io', at + 60_000, 'too many requests');
  await ledger.startRun({ id: runId, trigger: 'daily', startedAt: at, rules: 3 });
  await ledger.recordPage({ runId, ruleId: 'nginx', after: '', planned: 3, unchanged: 0, next: '3' });
  await ledger.recordPage({ runId, ruleId: 'nginx', after: '3', planned: 2, unchanged: 2 });
  await ledger.recordRuleFailure(runId, 'redis', failure);
  for (const outcome of outcomes) await ledger.recordOutcome(outcome);
  await ledger.startRun({ id: endedRunId, trigger: 'daily', startedAt: at - 86_400_000, rules: 1 });
  await ledger.recordPage({ runId: endedRunId, ruleId: 'nginx', after: '', planned: 7, unchanged: 7 });
  await ledger.endRun(endedRunId, 'done', at - 86_000_000);
}

/** The items that version 0.1.0 wrote for {@link fillLedger}, as DynamoDB has them, ordered by key. */
export const storedItems: Array<Record<string, AttributeValue>> = items as never;
