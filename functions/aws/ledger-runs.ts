import { createHash, randomUUID } from 'node:crypto';
import * as v from 'valibot';
import type { Failure } from '../../core/model/errors.ts';
import type { Target } from '../../core/model/reference.ts';
import { createSlots } from '../../core/model/slots.ts';
import { planName } from '../../core/pipeline/plan-name.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { noCounts, type Outcome, type RuleCounts, type RunRecord, type Runs } from '../../core/pipeline/ports/runs.ts';
import { decode, expiryAfter, failureSchema } from './items.ts';
import { outcomePartitions, outcomePut, outcomeSums, outcomesOf, toOutcome } from './outcome-items.ts';
import { type PlannedPage, plannedPage, sumPages } from './planned-pages.ts';
import { getItem, putItem, queryPages, type Table, updateItem } from './table.ts';

type RunLedger = Pick<Ledger, keyof Runs>;

const KEEP_DAYS = 90;
const READS_AT_ONCE = 8;
/** How many runs are looked through for the one before: at one a minute, those of half a day. */
const MOST_LOOKED_AT = 720;
const LOOKED_AT_ONCE = 48;

const runItem = v.object({
  trigger: v.string(),
  startedAt: v.number(),
  endedAt: v.optional(v.number()),
  state: v.picklist(['running', 'done', 'interrupted']),
  rules: v.optional(v.number()),
  // From the end on:
  endedBy: v.optional(v.string()),
  expanded: v.optional(v.number(), 0),
  repositories: v.optional(v.number(), 0),
  counts: v.optional(
    v.object({
      planned: v.number(),
      copied: v.number(),
      // Not there in runs of versions that deleted nothing.
      deleted: v.optional(v.number(), 0),
      unchanged: v.number(),
      failed: v.number(),
      deferred: v.number(),
      bytes: v.number(),
    }),
  ),
});

type RunItem = v.InferOutput<typeof runItem>;

const ruleFailureItem = v.object({ sk: v.string(), ruleId: v.string(), failure: failureSchema });
const listedItem = v.object({ id: v.string() });

/**
 * Runs. Nothing is counted up while a run goes on, so nothing can be counted twice or lost between two writes. Counts are
 * read from the pages and outcomes, and kept in the run's own item when it ends.
 */
export function runLedger(table: Table, now: () => number): RunLedger {
  return {
    /** 2 WCU; for a run that exists 2 WCU and 1 RCU. */
    async startRun({ id, trigger, startedAt, rules }) {
      const run = {
        ...runKey(id),
        trigger,
        startedAt,
        state: 'running',
        rules,
        expiresAt: expiryAfter(startedAt, KEEP_DAYS),
      };
      const isNew = await putItem(table, run, { text: 'attribute_not_exists(#pk)' });
      // A run that exists may be missing from the list: its process may have ended between the two writes.
      const listedAt = isNew ? startedAt : ((await readItem(table, id))?.startedAt ?? startedAt);
      await putItem(table, {
        pk: 'runs',
        sk: listKey(listedAt, id),
        id,
        expiresAt: expiryAfter(listedAt, KEEP_DAYS),
      });
    },

    /**
     * 1 WCU a page, however many tags it has. When a page is planned twice, the second plan counts: tags that had a task
     * in the first may be in step by now, and would never get an outcome.
     */
    async recordPage({ runId, ruleId, repository, after, planned, unchanged, repositories, next }) {
      const rule = shortName(planName({ ruleId, repository }));
      await putItem(table, {
        pk: pagesKey(runId),
        sk: `page#${rule}#${after}`,
        rule,
        ruleId,
        after,
        planned,
        unchanged,
        repositories,
        next,
        expiresAt: expiryAfter(now(), KEEP_DAYS),
      });
    },

    /** 1 WCU. */
    async recordRuleFailure(runId, ruleId, failure) {
      await putItem(table, {
        pk: runKey(runId).pk,
        sk: `failure#${shortName(ruleId)}`,
        ruleId,
        failure,
        expiresAt: expiryAfter(now(), KEEP_DAYS),
      });
    },

    /** 1 WCU for an item up to 1 KB. 8 partitions take 8,000 outcomes a second of one run. */
    async recordOutcome(outcome) {
      const { item, condition } = outcomePut(outcome, expiryAfter(outcome.at, KEEP_DAYS));
      await putItem(table, item, condition);
    },

    /** Reads the whole run once more, strongly consistent (1 RCU per 4 KB, some 12 outcomes), and writes the sums (1 WCU). */
    async endRun(runId, state, endedAt) {
      const run = await readHead(table, runId);
      if (run?.item.state !== 'running') return false;
      const { counts, rules, repositories } = await sumUp(table, runId, run, true);
      // After a lost response the SDK repeats the write. This tells our own first write from another worker's.
      const endedBy = randomUUID();
      const ended = await updateItem(
        table,
        runKey(runId),
        // A count that a version before this one did not have is left out where it is 0.
        {
          state,
          endedAt,
          endedBy,
          counts: { ...counts, deleted: counts.deleted || undefined },
          expanded: rules?.expanded,
          repositories: repositories || undefined,
        },
        { text: '#state = :running', values: { running: 'running' } },
      );
      return ended || (await readItem(table, runId))?.endedBy === endedBy;
    },

    /**
     * 1 RCU for an ended run. A running one also costs its pages (1 RCU per 4 KB, some 25 pages) and outcomes (0.5 RCU
     * per 4 KB): 9 requests and 6 RCU for a small run, 43,000 RCU and some seconds for a million outcomes. So read a
     * large run seldom. A run never looks more complete than it is.
     */
    async readRun(runId) {
      return readRun(table, runId);
    },

    /** One request and 0.5 RCU, and {@link readRun} for each. */
    async listRuns(limit) {
      const newest = queryPages(table, { pk: 'runs', newestFirst: true, limit });
      const { value: page } = await newest.next();
      const slots = createSlots(READS_AT_ONCE);
      const ids = (page ?? []).map((item) => decode(listedItem, item).id);
      const runs = await Promise.all(ids.map((id) => slots(() => readRun(table, id))));
      return runs.filter((run) => run !== undefined);
    },

    /** A request and 0.5 RCU for each run of any trigger that was begun in between, and {@link readRun}. */
    async runBefore({ id, trigger, startedAt }) {
      const slots = createSlots(READS_AT_ONCE);
      const between = { from: '0', to: listKey(startedAt, '\u{10ffff}') };
      let looked = 0;
      for await (const page of queryPages(table, { pk: 'runs', between, newestFirst: true, limit: LOOKED_AT_ONCE })) {
        const ids = page.map((item) => decode(listedItem, item).id);
        const items = await Promise.all(ids.map((one) => slots(() => readItem(table, one))));
        const isWanted = (one: string, at: number) =>
          one !== id && items[at]?.trigger === trigger && items[at].state === 'done';
        const found = ids.find(isWanted);
        if (found !== undefined) return readRun(table, found);
        looked += ids.length;
        if (looked >= MOST_LOOKED_AT) return undefined;
      }
      return undefined;
    },

    /** 0.5 RCU per 4 KB of all outcomes of the run, filtered out or not. */
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

    /** 0.5 RCU per 4 KB of the run's pages and outcomes, 9 requests at least. */
    async readRules(runId) {
      return readRules(table, runId);
    },

    /** One request and 0.5 RCU a run. */
    async readHistory(destination, runIds) {
      const slots = createSlots(READS_AT_ONCE);
      const found = runIds.map((runId) => slots(() => readOutcomesOf(table, runId, destination)));
      return (await Promise.all(found)).flat();
    },
  };
}

function listKey(startedAt: number, id: string): string {
  return `${String(startedAt).padStart(16, '0')}#${id}`;
}

interface Head {
  item: RunItem;
  failures: Array<{ rule: string; ruleId: string; failure: Failure }>;
}

async function readHead(table: Table, runId: string): Promise<Head | undefined> {
  const key = runKey(runId);
  let item: RunItem | undefined;
  const failures: Head['failures'] = [];
  for await (const page of queryPages(table, { pk: key.pk, consistent: true })) {
    for (const found of page) {
      if (found.sk === key.sk) {
        item = decode(runItem, found);
        continue;
      }
      const { sk, ruleId, failure } = decode(ruleFailureItem, found);
      failures.push({ rule: sk.slice('failure#'.length), ruleId, failure });
    }
  }
  return item && { item, failures };
}

async function readItem(table: Table, runId: string): Promise<RunItem | undefined> {
  const item = await getItem(table, runKey(runId));
  return item && decode(runItem, item);
}

async function readRun(table: Table, runId: string): Promise<RunRecord | undefined> {
  const head = await readHead(table, runId);
  if (!head) return undefined;
  const { item, failures } = head;
  const { counts, rules } =
    item.counts === undefined
      ? await sumUp(table, runId, head, false)
      : { counts: item.counts, rules: rulesOf(item, item) };
  return {
    id: runId,
    trigger: item.trigger,
    startedAt: item.startedAt,
    endedAt: item.endedAt,
    state: item.state,
    rules,
    ruleFailures: failures.map(({ ruleId, failure }) => ({ ruleId, failure })),
    counts,
  };
}

/** A rule whose pages say its short name alone is known by its outcomes, where it has any. */
async function readRules(table: Table, runId: string): Promise<RuleCounts[]> {
  const pages: PlannedPage[] = [];
  for await (const page of queryPages(table, { pk: pagesKey(runId) })) {
    pages.push(...page.map((item) => decode(plannedPage, item)));
  }
  const rules = new Map<string, RuleCounts>();
  const ruleOf = (ruleId: string): RuleCounts => {
    const rule = rules.get(ruleId) ?? { ...noCounts, ruleId, isExpanded: false };
    rules.set(ruleId, rule);
    return rule;
  };
  const fields = ['ruleId', 'result', 'bytes'];
  await Promise.all(
    outcomePartitions(runId).map(async (pk) => {
      for await (const page of queryPages(table, { pk, fields })) {
        for (const item of page) {
          const { ruleId, result, bytes } = decode(outcomeSums, item);
          const rule = ruleOf(ruleId);
          rule[result] += 1;
          rule.bytes += bytes;
        }
      }
    }),
  );
  const idByShortName = new Map([...rules.keys()].map((ruleId) => [shortName(ruleId), ruleId]));
  // A rule for many repositories has pages of its own, and of each repository.
  for (const [ruleId, own] of Map.groupBy(pages, (page) => page.ruleId ?? idByShortName.get(page.rule))) {
    if (ruleId === undefined) continue;
    const { planned, unchanged, repositories, expanded } = sumPages(own);
    const counts = ruleOf(ruleId);
    counts.planned += planned;
    counts.unchanged += unchanged;
    counts.isExpanded = expanded.size > repositories;
  }
  return [...rules.values()].sort((a, b) => (a.ruleId < b.ruleId ? -1 : 1));
}

async function readOutcomesOf(table: Table, runId: string, destination: Target): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for await (const page of queryPages(table, outcomesOf(runId, destination))) {
    outcomes.push(...page.map((item) => toOutcome(runId, item)));
  }
  return outcomes;
}

function rulesOf(
  { rules }: RunItem,
  { repositories, expanded }: { repositories: number; expanded: number },
): RunRecord['rules'] {
  return rules === undefined ? undefined : { total: rules + repositories, expanded };
}

async function sumUp(
  table: Table,
  runId: string,
  head: Head,
  consistent: boolean,
): Promise<Pick<RunRecord, 'counts' | 'rules'> & { repositories: number }> {
  const pages: PlannedPage[] = [];
  for await (const page of queryPages(table, { pk: pagesKey(runId), consistent: true })) {
    pages.push(...page.map((item) => decode(plannedPage, item)));
  }
  const { planned, unchanged, repositories, expanded } = sumPages(pages);
  for (const { rule } of head.failures) expanded.add(rule);

  const counts = { ...noCounts, planned, unchanged };
  const fields = ['ruleId', 'result', 'bytes'];
  await Promise.all(
    outcomePartitions(runId).map(async (pk) => {
      for await (const page of queryPages(table, { pk, fields, consistent })) {
        for (const item of page) {
          const { result, bytes } = decode(outcomeSums, item);
          counts[result] += 1;
          counts.bytes += bytes;
        }
      }
    }),
  );
  return { counts, repositories, rules: rulesOf(head.item, { repositories, expanded: expanded.size }) };
}

function runKey(runId: string) {
  return { pk: `run#${runId}`, sk: 'run' };
}

function pagesKey(runId: string): string {
  return `${runKey(runId).pk}#pages`;
}

/** A rule's id may be longer than a sort key (1,024 bytes). */
function shortName(ruleId: string): string {
  return createHash('sha256').update(ruleId).digest('base64url').slice(0, 22);
}
