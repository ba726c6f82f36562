import * as v from 'valibot';
import { type Digest, formatRepository, formatTarget, type Target } from '../../core/model/reference.ts';
import { createSlots } from '../../core/model/slots.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';
import { decode, type ReadItem } from './items.ts';
import { getItem, type Key, putItem, queryPages, type Table } from './table.ts';
import { targetFromText } from './targets.ts';

const syncItem = v.object({
  pk: v.string(),
  sk: v.string(),
  source: v.string(),
  sourceDigest: v.string(),
  destinationDigest: v.optional(v.string()),
  platforms: v.optional(v.string()),
  at: v.number(),
  how: v.picklist(['copied', 'found', 'empty', 'gone', 'deleted']),
  referrersAt: v.optional(v.number()),
  referrers: v.optional(v.string()),
  manifests: v.optional(v.string()),
});

type SyncLedger = Pick<Ledger, 'readRepository' | 'read' | 'write'>;

/** Of a page of a thousand tags that somebody else brought; the SDK has 50 connections, for all requests. */
const WRITES_AT_ONCE = 16;

/**
 * Sync records. Their items are small, because a run with nothing to do reads all of them: at 200 bytes a tag, 40 tags
 * cost 1 RCU and one request brings some 5,000.
 */
export function syncLedger(table: Table): SyncLedger {
  const slots = createSlots(WRITES_AT_ONCE);
  return {
    /**
     * 0.5 RCU per 4 KB, eventually consistent: a stale page causes a needless task at most, because the copier looks
     * again before it writes.
     */
    async *readRepository(repository, range = {}) {
      const { from = '', to } = range;
      // DynamoDB refuses a range whose end is before its start. Tags are ASCII, so this compares bytes.
      if (to !== undefined && to < from) return;
      const ranged = range.from !== undefined || to !== undefined;
      const pages = queryPages(table, {
        pk: `repo#${formatRepository(repository)}`,
        // '$' follows '#', so 'tag$' is past every tag.
        between: ranged ? { from: `tag#${from}`, to: to === undefined ? 'tag$' : `tag#${to}` } : undefined,
      });
      for await (const page of pages) {
        if (page.length > 0) yield page.map(toRecord);
      }
    },

    /** 1 RCU, strongly consistent. */
    async read(destination) {
      const item = await getItem(table, keyOf(destination));
      return item && toRecord(item);
    },

    /** 1 WCU, also where a newer record is there. */
    async write(record) {
      const condition = { text: 'attribute_not_exists(#pk) OR #at <= :at', values: { at: record.at } };
      await slots(() => putItem(table, toItem(record), condition));
    },
  };
}

function toItem(record: SyncRecord) {
  const { destinationDigest, sourceDigest } = record;
  return {
    ...keyOf(record.destination),
    source: formatTarget(record.source),
    sourceDigest,
    // Left out where it is the source's digest: a third of the item.
    destinationDigest: destinationDigest === sourceDigest ? undefined : destinationDigest,
    platforms: record.platforms === '' ? undefined : record.platforms,
    at: record.at,
    how: destinationDigest === undefined ? 'empty' : record.how,
    referrersAt: record.referrers?.at,
    referrers: record.referrers?.mark || undefined,
    manifests: record.referrers?.manifests && formatDigests(record.referrers.manifests),
  };
}

function keyOf(destination: Target): Key {
  const { tag, digest } = destination;
  return {
    pk: `repo#${formatRepository(destination)}`,
    sk: tag === undefined ? `untagged#${digest}` : `tag#${tag}`,
  };
}

function toRecord(item: ReadItem): SyncRecord {
  const { pk, sk, source, sourceDigest, destinationDigest, platforms, at, how, referrersAt, referrers, manifests } =
    decode(syncItem, item);
  const separator = sk.startsWith('tag#') ? ':' : '@';
  return {
    destination: targetFromText(`${pk.slice('repo#'.length)}${separator}${sk.slice(sk.indexOf('#') + 1)}`),
    source: targetFromText(source),
    sourceDigest,
    destinationDigest: how === 'empty' ? undefined : (destinationDigest ?? sourceDigest),
    platforms: platforms ?? '',
    at,
    how,
    ...(referrersAt !== undefined && {
      referrers: {
        at: referrersAt,
        mark: referrers ?? '',
        ...(manifests !== undefined && { manifests: parseDigests(manifests) }),
      },
    }),
  };
}

/** Without what is the same for all of them; `-` for none, which is known, too. */
function formatDigests(digests: Digest[]): string {
  return digests.length === 0 ? '-' : digests.map((digest) => digest.replace(/^sha256:/, '')).join(' ');
}

function parseDigests(text: string): Digest[] {
  return text === '-' ? [] : text.split(' ').map((digest) => (digest.includes(':') ? digest : `sha256:${digest}`));
}
