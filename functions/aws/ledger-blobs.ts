import * as v from 'valibot';
import type { Digest, Repository } from '../../core/model/reference.ts';
import { createSlots } from '../../core/model/slots.ts';
import type { BlobPlace } from '../../core/pipeline/ports/blob-places.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { decode, expiryAfter } from './items.ts';
import { batchWrite, type Key, queryPages, type Table } from './table.ts';

type BlobLedger = Pick<Ledger, 'findBlobs' | 'writeBlobs' | 'forgetBlobs'>;

/** A base layer may be in thousands of repositories. So many of them are read: 2 RCU at most. */
const PLACES_PER_BLOB = 100;
const QUERIES_AT_ONCE = 16;
const KEEP_DAYS = 90;

const placeItem = v.object({ sk: v.string(), at: v.number() });

/** Where blobs are known to be. It only saves requests, so it may be stale, incomplete or lost. */
export function blobLedger(table: Table): BlobLedger {
  return {
    /** 0.5 RCU a digest, eventually consistent. Gives at most 100 repositories of each digest, the first by name. */
    async findBlobs(registry, digests, since) {
      const slots = createSlots(QUERIES_AT_ONCE);
      const found = await Promise.all(
        [...new Set(digests)].map((digest) => slots(() => placesOf(table, registry, digest, since))),
      );
      return found.flat();
    },

    /** 1 WCU a digest, 25 digests a request. The last write of a place wins, even if its `at` is a little older. */
    async writeBlobs(repository, digests, at) {
      const expiresAt = expiryAfter(at, KEEP_DAYS);
      await batchWrite(
        table,
        keysOf(repository, digests).map((key) => ({ ...key, at, expiresAt })),
      );
    },

    /** 1 WCU a digest, 25 digests a request. */
    async forgetBlobs(repository, digests) {
      await batchWrite(table, [], keysOf(repository, digests));
    },
  };
}

async function placesOf(table: Table, registry: string, digest: Digest, since: number): Promise<BlobPlace[]> {
  const pages = queryPages(table, {
    pk: `blob#${registry}#${digest}`,
    filter: { text: '#at > :since', values: { since } },
    fields: ['sk', 'at'],
    limit: PLACES_PER_BLOB,
  });
  const { value: page } = await pages.next();
  return (page ?? []).map((item) => {
    const { sk, at } = decode(placeItem, item);
    return { digest, repository: sk, at };
  });
}

function keysOf({ registry, repository }: Repository, digests: Digest[]): Key[] {
  // A batch with one key twice is refused as a whole.
  return [...new Set(digests)].map((digest) => ({ pk: `blob#${registry}#${digest}`, sk: repository }));
}
