import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { UploadProgressStore } from '../../core/pipeline/ports/upload-progress.ts';
import { blobLedger } from './ledger-blobs.ts';
import { leaseLedger } from './ledger-leases.ts';
import { pullLedger } from './ledger-pulls.ts';
import { runLedger } from './ledger-runs.ts';
import { syncLedger } from './ledger-sync.ts';
import { uploadLedger } from './ledger-uploads.ts';

/**
 * The ledger in one DynamoDB table: string keys `pk` and `sk`, TTL attribute `expiresAt` (epoch seconds), no index.
 *
 * Every write is one item, with a condition where order matters, so that any of them may be lost, repeated or reordered
 * on its own; nothing is counted up, all counts are read from items. TTL only collects garbage: it may come days late, so
 * what has expired is told by comparing milliseconds.
 *
 * | pk | sk | what |
 * | --- | --- | --- |
 * | `repo#<registry>/<repository>` | `tag#<tag>`, `untagged#<digest>` | sync record |
 * | `blob#<registry>#<digest>` | repository | place of a blob |
 * | `upload#<registry>/<repository>#<digest>` | `upload` | how far the upload of a large blob has come |
 * | `lease#<key>` | `lease` | lease |
 * | `parks` | registry | park |
 * | `pulls` | rule | pulls of a rule with a budget |
 * | `quotas` | registry | quota of pulls, as it was seen last |
 * | `runs` | start time and id | list of runs |
 * | `run#<id>` | `run`, `failure#<rule>` | run, rules that failed |
 * | `run#<id>#pages` | `page#<rule>#<after>` | planned pages |
 * | `run#<id>#outcomes#<0-7>` | destination, rule | outcomes, spread over 8 partitions |
 *
 * @param options.now the clock that leases are compared by; clocks of Lambda hosts agree to a few milliseconds
 */
export function createLedger(options: {
  client: DynamoDBClient;
  table: string;
  now?: () => number;
}): Ledger & UploadProgressStore {
  const table = { client: options.client, name: options.table };
  const now = options.now ?? Date.now;
  return {
    ...syncLedger(table),
    ...blobLedger(table),
    ...uploadLedger(table, now),
    ...leaseLedger(table, now),
    ...pullLedger(table),
    ...runLedger(table, now),
  };
}
