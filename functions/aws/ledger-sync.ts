import { formatRepository, formatTarget, type Target } from '../../core/model/reference.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';
import type { Plain } from './items.ts';
import { getItem, type Key, putItem, queryPages, type Table } from './table.ts';
import { targetFromText } from './targets.ts';

type SyncLedger = Pick<Ledger, 'readRepository' | 'read' | 'write'>;

/**
 * Sync records. Items are kept small, because a run with nothing to do reads all of them: about 200 bytes a tag, so 40
 * tags cost 1 RCU and one request brings some 5,000.
 */
export function syncLedger(table: Table): SyncLedger {
  return {
    /**
     * 0.5 RCU per 4 KB: eventually consistent, because the copier looks again before it writes. What a stale page
     * can cause is one needless task.
     */
    async *readRepository(repository, range = {}) {
      const { from = '', to } = range;
      // DynamoDB refuses bounds that are the wrong way round. Tags are ASCII, so this compares bytes.
      if (to !== undefined && to < from) return;
      const ranged = range.from !== undefined || to !== undefined;
      const pages = queryPages(table, {
        pk: `repo#${formatRepository(repository)}`,
        // '$' follows '#': past every tag.
        ...(ranged && {
          between: { from: `tag#${from}`, to: to === undefined ? 'tag$' : `tag#${to}` },
        }),
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
      const { destinationDigest, sourceDigest } = record;
      await putItem(
        table,
        {
          ...keyOf(record.destination),
          source: formatTarget(record.source),
          sourceDigest,
          // Left out where it says nothing new: a third of the item.
          destinationDigest: destinationDigest === sourceDigest ? undefined : destinationDigest,
          platforms: record.platforms === '' ? undefined : record.platforms,
          at: record.at,
          how: destinationDigest === undefined ? 'empty' : record.how,
        },
        { text: 'attribute_not_exists(#pk) OR #at <= :at', values: { at: record.at } },
      );
    },
  };
}

function keyOf(destination: Target): Key {
  const { tag, digest } = destination;
  return {
    pk: `repo#${formatRepository(destination)}`,
    sk: tag === undefined ? `untagged#${digest}` : `tag#${tag}`,
  };
}

function toRecord(item: Record<string, Plain>): SyncRecord {
  const { pk, sk, source, sourceDigest, destinationDigest, platforms, at, how } = item as Record<string, string> & {
    at: number;
    how: SyncRecord['how'];
  };
  const separator = sk!.startsWith('tag#') ? ':' : '@';
  return {
    destination: targetFromText(`${pk!.slice('repo#'.length)}${separator}${sk!.slice(sk!.indexOf('#') + 1)}`),
    source: targetFromText(source!),
    sourceDigest: sourceDigest!,
    destinationDigest: how === 'empty' ? undefined : (destinationDigest ?? sourceDigest!),
    platforms: platforms ?? '',
    at,
    how,
  };
}
