import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { deleteItem, queryPages, type Table, updateItem } from './table.ts';

type LeaseLedger = Pick<Ledger, 'acquireLease' | 'renewLease' | 'releaseLease' | 'park' | 'parks'>;

/** TTL may delete a little early by its own clock; a day of margin keeps it out of every comparison. */
const GARBAGE_AFTER_MS = 24 * 3600 * 1000;

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
    /** 1 WCU, also where it is refused. Repeated by the SDK after a lost answer it succeeds again: the owner is the same. */
    async acquireLease(key, owner, ttlMs) {
      const at = now();
      const until = Math.round(at + ttlMs);
      const acquired = await updateItem(table, leaseKey(key), leaseFields(owner, until), {
        text: 'attribute_not_exists(#pk) OR #until <= :at OR #owner = :owner',
        values: { at, owner },
      });
      return acquired ? { key, owner, until } : undefined;
    },

    /** 1 WCU. An expired lease is lost even while nobody has taken it: somebody may have had it and given it back. */
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
        { until: rounded, reason, expiresAt: garbageAt(rounded) },
        { text: 'attribute_not_exists(#pk) OR #until < :until', values: { until: rounded } },
      );
    },

    /** 1 RCU for up to 4 KB of parks, strongly consistent: a worker must not miss what another has just been told. */
    async parks(at) {
      const found = [];
      const filter = { text: '#until > :at', values: { at } };
      for await (const page of queryPages(table, { pk: 'parks', filter, consistent: true })) {
        for (const { sk, until, reason } of page) {
          found.push({ registry: sk as string, until: until as number, reason: reason as string });
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
  return { owner, until, expiresAt: garbageAt(until) };
}

/** Epoch seconds, as TTL wants them. */
function garbageAt(until: number): number {
  return Math.ceil((until + GARBAGE_AFTER_MS) / 1000);
}
