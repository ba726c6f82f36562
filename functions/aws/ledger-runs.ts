import { createHash, randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import type { Failure } from '../../core/model/errors.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import type { Plain } from './items.ts';
import { outcomePartitions, outcomePut, toOutcome } from './outcome-items.ts';
import { type PlannedPage, sumPages } from './planned-pages.ts';
import { getItem, putItem, queryPages, type Table, updateItem } from './table.ts';

type RunLedger = Pick<
  Ledger,
  'startRun' | 'recordPage' | 'recordRuleFailure' | 'recordOutcome' | 'endRun' | 'readRun' | 'listRuns' | 'readOutcomes'
>;

const KEEP_MS = 90 * 24 * 3600 * 1000;
const READS_AT_ONCE = 8;

/**
 * Runs. Nothing is counted up while a run goes on, so nothing can be counted twice or forgotten between two writes:
 * counts are read from the pages and outcomes that are there, and kept in the run's own item when it ends.
 */
export function runLedger(table: Table, now: () => number): RunLedger {
  return {
    /** 2 WCU (3 RCU and WCU where it is there already). */
    async startRun({ id, trigger, startedAt, rules }) {
      const run = { ...runKey(id), trigger, startedAt, state: 'running', rules, expiresAt: garbageAt(startedAt) };
      const isNew = await putItem(table, run, { text: 'attribute_not_exists(#pk)' });
      // One that is there may be without its line in the list: its process may have gone away between the two writes.
      const listedAt = isNew ? startedAt : Number((await getItem(table, runKey(id)))?.startedAt ?? startedAt);
      await putItem(table, {
        pk: 'runs',
        sk: `${String(listedAt).padStart(16, '0')}#${id}`,
        id,
        expiresAt: garbageAt(listedAt),
      });
    },

    /**
     * 1 WCU a page of tags, however many tags it has. Of a page planned twice the second plan holds: some of the tags
     * that had a task in the first may be in step by now, and will never have an outcome.
     */
    async recordPage({ runId, ruleId, after, planned, unchanged, next }) {
      const pk = `${runKey(runId).pk}#pages`;
      await putItem(table, {
        pk,
        sk: `page#${shortName(ruleId)}#${after}`,
        rule: shortName(ruleId),
        after,
        planned,
        unchanged,
        next,
        expiresAt: garbageAt(now()),
      });
    },

    /** 1 WCU. */
    async recordRuleFailure(runId, ruleId, failure) {
      await putItem(table, {
        pk: runKey(runId).pk,
        sk: `failure#${shortName(ruleId)}`,
        ruleId,
        failure: { ...failure },
        expiresAt: garbageAt(now()),
      });
    },

    /** 1 WCU for an item up to 1 KB. 8 partitions take 8,000 outcomes a second of one run. */
    async recordOutcome(outcome) {
      const { item, condition } = outcomePut(outcome, garbageAt(outcome.at));
      await putItem(table, item, condition);
    },

    /** Reads the whole run once more, strongly consistent (1 RCU per 4 KB, some 12 outcomes), and keeps the sums; then 1 WCU. */
    async endRun(runId, state, endedAt) {
      const run = await readHead(table, runId);
      if (run?.item.state !== 'running') return false;
      const { counts, rules } = await sumUp(table, runId, run, true);
      // Tells our own write from another's where the SDK repeats it after a lost answer.
      const endedBy = randomUUID();
      const ended = await updateItem(
        table,
        runKey(runId),
        { state, endedAt, endedBy, counts, ...(rules && { expanded: rules.expanded }) },
        { text: '#state = :running', values: { running: 'running' } },
      );
      return ended || (await getItem(table, runKey(runId)))?.endedBy === endedBy;
    },

    /**
     * 1 RCU for an ended run. For a running one also its pages (1 RCU per 4 KB, some 25 pages) and outcomes (0.5 RCU per
     * 4 KB): 9 requests and 6 RCU for a small run, 43,000 RCU and some seconds at a million outcomes. So look at a
     * large run seldom, and not once a task. What is counted is there: a run never looks more complete than it is.
     */
    async readRun(runId) {
      return readRun(table, runId);
    },

    /** One request and 0.5 RCU, and {@link readRun} for each. */
    async listRuns(limit) {
      const newest = queryPages(table, { pk: 'runs', newestFirst: true, limit });
      const { value: page } = await newest.next();
      const parallel = pLimit(READS_AT_ONCE);
      const runs = await Promise.all((page ?? []).map(({ id }) => parallel(() => readRun(table, id as string))));
      return runs.filter((run) => run !== undefined);
    },

    /** 0.5 RCU per 4 KB of all the outcomes of the run, also of those that are filtered out. */
    async *readOutcomes(runId, results) {
      if (results?.length === 0) return;
      const filter = results && {
        text: `#result IN (${results.map((_, index) => `:result${index}`).join(', ')})`,
        values: Object.fromEntries(results.map((result, index) => [`result${index}`, result])),
      };
      for (const pk of outcomePartitions(runId)) {
        for await (const page of queryPages(table, { pk, filter })) {
          if (page.length > 0) yield page.map((item) => toOutcome(runId, item));
        }
      }
    },
  };
}

interface Head {
  item: Record<string, Plain>;
  failures: Array<{ rule: string; ruleId: string; failure: Failure }>;
}

async function readHead(table: Table, runId: string): Promise<Head | undefined> {
  let item: Head['item'] | undefined;
  const failures: Head['failures'] = [];
  for await (const page of queryPages(table, { pk: runKey(runId).pk, consistent: true })) {
    for (const found of page) {
      if (found.sk === runKey(runId).sk) item = found;
      else {
        failures.push({
          rule: String(found.sk).slice('failure#'.length),
          ruleId: found.ruleId as string,
          failure: found.failure as unknown as Failure,
        });
      }
    }
  }
  return item && { item, failures };
}

async function readRun(table: Table, runId: string): Promise<RunRecord | undefined> {
  const head = await readHead(table, runId);
  if (!head) return undefined;
  const { item, failures } = head;
  const { counts, rules } = item.counts === undefined ? await sumUp(table, runId, head, false) : keptSums(item);
  return {
    id: runId,
    trigger: item.trigger as string,
    startedAt: item.startedAt as number,
    ...(item.endedAt !== undefined && { endedAt: item.endedAt as number }),
    state: item.state as RunRecord['state'],
    rules,
    ruleFailures: failures.map(({ ruleId, failure }) => ({ ruleId, failure })),
    counts,
  };
}

type Sums = Pick<RunRecord, 'counts' | 'rules'>;

function keptSums(item: Record<string, Plain>): Sums {
  return {
    counts: item.counts as unknown as RunRecord['counts'],
    ...(item.rules !== undefined && { rules: { total: item.rules as number, expanded: item.expanded as number } }),
  };
}

async function sumUp(table: Table, runId: string, head: Head, consistent: boolean): Promise<Sums> {
  const pages: PlannedPage[] = [];
  for await (const page of queryPages(table, { pk: `${runKey(runId).pk}#pages`, consistent: true })) {
    pages.push(...(page as unknown as PlannedPage[]));
  }
  const { planned, unchanged, expanded } = sumPages(pages);
  for (const { rule } of head.failures) expanded.add(rule);

  const counts = { planned, copied: 0, unchanged, failed: 0, deferred: 0, bytes: 0 };
  const fields = ['result', 'bytes'];
  await Promise.all(
    outcomePartitions(runId).map(async (pk) => {
      for await (const page of queryPages(table, { pk, fields, consistent })) {
        for (const { result, bytes } of page) {
          counts[result as Outcome['result']] += 1;
          counts.bytes += bytes as number;
        }
      }
    }),
  );
  const total = head.item.rules as number | undefined;
  return { counts, ...(total !== undefined && { rules: { total, expanded: expanded.size } }) };
}

function runKey(runId: string) {
  return { pk: `run#${runId}`, sk: 'run' };
}

/** A rule's id may be longer than a sort key (1,024 bytes). */
function shortName(ruleId: string): string {
  return createHash('sha256').update(ruleId).digest('base64url').slice(0, 22);
}

/** Epoch seconds, as TTL wants them. */
function garbageAt(from: number): number {
  return Math.ceil((from + KEEP_MS) / 1000);
}
