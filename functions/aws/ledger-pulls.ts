import * as v from 'valibot';
import type { Pulls, SeenQuota, StoredPulls } from '../../core/pipeline/ports/pulls.ts';
import { decode, expiryAfter, type ReadItem } from './items.ts';
import { getItem, putItem, queryPages, type Table } from './table.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const pullItem = v.object({
  sk: v.string(),
  pulls: count,
  windowMs: count,
  parts: v.array(v.tuple([v.number(), count])),
  version: count,
});
const quotaItem = v.object({ sk: v.string(), limit: count, remaining: count, windowMs: count, at: v.number() });

/** A window is a week at most. */
const KEEP_DAYS = 15;

/** Pulls of rules that have a budget, and the quotas of registries. */
export function pullLedger(table: Table): Pulls {
  return {
    /** 1 RCU, strongly consistent. */
    async readPulls(ruleId) {
      const item = await getItem(table, keyOf(ruleId));
      return item && toPulls(item);
    },

    /** 1 WCU, also where it is refused. */
    async writePulls({ ruleId, counts: { budget, parts }, version }) {
      const expiresAt = expiryAfter(parts.at(-1)?.[0] ?? 0, KEEP_DAYS);
      return putItem(
        table,
        { ...keyOf(ruleId), ...budget, parts, version, expiresAt },
        version === 1
          ? { text: 'attribute_not_exists(#pk)' }
          : { text: '#version = :before', values: { before: version - 1 } },
      );
    },

    /** 0.5 RCU per 4 KB, eventually consistent. */
    async listPulls() {
      const found: StoredPulls[] = [];
      for await (const page of queryPages(table, { pk: 'pulls' })) found.push(...page.map(toPulls));
      return found;
    },

    /** 1 WCU. */
    async noteQuota({ registry, ...quota }) {
      const expiresAt = expiryAfter(quota.at, KEEP_DAYS);
      await putItem(
        table,
        { pk: 'quotas', sk: registry, ...quota, expiresAt },
        { text: 'attribute_not_exists(#pk) OR #at <= :at', values: { at: quota.at } },
      );
    },

    /** 0.5 RCU per 4 KB, eventually consistent. */
    async listQuotas() {
      const found: SeenQuota[] = [];
      for await (const page of queryPages(table, { pk: 'quotas' })) {
        for (const item of page) {
          const { sk: registry, ...quota } = decode(quotaItem, item);
          found.push({ registry, ...quota });
        }
      }
      return found;
    },
  };
}

function keyOf(ruleId: string) {
  return { pk: 'pulls', sk: ruleId };
}

function toPulls(item: ReadItem): StoredPulls {
  const { sk: ruleId, pulls, windowMs, parts, version } = decode(pullItem, item);
  return { ruleId, counts: { budget: { pulls, windowMs }, parts }, version };
}
