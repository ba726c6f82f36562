import * as v from 'valibot';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { decode, expiryAfter } from './items.ts';
import { deleteItem, queryPages, type Table, updateItem } from './table.ts';

type LeaseLedger = Pick<Ledger, 'acquireLease' | 'renewLease' | 'releaseLease' | 'park' | 'parks'>;

/** TTL deletes by a clock of its own. With a day of margin it never deletes what a comparison still needs. */
const KEEP_DAYS = 1;

const parkItem = v.object({ sk: v.string(), until: v.number(), reason: v.string() });

/**
 * Leases and parks.
 * ```
 * A acquires ──── A renews ────── until ──────────────────────────►
 *   B acquires: refused             │  B acquires: takes over
 *                                   │  A renews: refused, A stops
 * ```
 */
export function leaseLedger(table: Table, now: () => number): LeaseLedger {
  return {
    /** 1 WCU, also where it is refused. A repeat by the SDK after a lost response succeeds too: the owner is the same. */
    async acquireLease(key, owner, ttlMs) {
      const at = now();
      const until = Math.round(at + ttlMs);
      const acquired = await updateItem(table, leaseKey(key), leaseFields(owner, until), {
        text: 'attribute_not_exists(#pk) OR #until <= :at OR #owner = :owner',
        values: { at, owner },
      });
      return acquired ? { key, owner, until } : undefined;
    },

    /** 1 WCU. An expired lease is lost even if nobody holds it: another worker may have held it in between. */
    async renewLease(lease, ttlMs) {
      const at = now();
      return updateItem(table, leaseKey(lease.key), leaseFields(lease.owner, Math.round(at + ttlMs)), {
        text: '#owner = :owner AND #until > :at',
        values: { at, owner: lease.owner },
      });
    },

    /** 1 WCU. */
    async releaseLease(lease) {
      await deleteItem(table, leaseKey(lease.key), { text: '#owner = :owner', values: { owner: lease.owner } });
    },

    /** 1 WCU. */
    async park(registry, until, reason) {
      const rounded = Math.ceil(until);
      await updateItem(
        table,
        { pk: 'parks', sk: registry },
        { until: rounded, reason, expiresAt: expiryAfter(rounded, KEEP_DAYS) },
        { text: 'attribute_not_exists(#pk) OR #until < :until', values: { until: rounded } },
      );
    },

    /** 1 RCU for up to 4 KB of parks, strongly consistent: a worker must not miss what another was just told. */
    async parks(at) {
      const found = [];
      const filter = { text: '#until > :at', values: { at } };
      for await (const page of queryPages(table, { pk: 'parks', filter, consistent: true })) {
        for (const item of page) {
          const { sk, until, reason } = decode(parkItem, item);
          found.push({ registry: sk, until, reason });
        }
      }
      return found;
    },
  };
}

function leaseKey(key: string) {
  return { pk: `lease#${key}`, sk: 'lease' };
}

function leaseFields(owner: string, until: number) {
  return { owner, until, expiresAt: expiryAfter(until, KEEP_DAYS) };
}
