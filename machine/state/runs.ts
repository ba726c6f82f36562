import type { Failure } from '../../core/model/errors.ts';
import { planName } from '../../core/pipeline/plan-name.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import {
  noCounts,
  type Outcome,
  type RuleCounts,
  type RunCounts,
  type RunRecord,
  type Runs,
} from '../../core/pipeline/ports/runs.ts';
import type { Database } from './database.ts';
import { nameOf } from './names.ts';

const pageSize = 1000;

type RunLedger = Pick<Ledger, keyof Runs>;

/** The part of the ledger about runs: what was planned, and how each tag ended. */
export function openRuns(database: Database): RunLedger {
  return {
    async startRun(run) {
      database.run(
        `INSERT INTO runs (id, trigger, owner, state, started_at, rules) VALUES (?, ?, ?, 'running', ?, ?) ON CONFLICT DO NOTHING`,
        run.id,
        run.trigger,
        database.owner(),
        run.startedAt,
        run.rules ?? null,
      );
    },

    async recordPage(page) {
      database.run(
        `INSERT INTO pages (run_id, rule_id, after, planned, unchanged, next, repositories, rule_for_many)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        page.runId,
        planName(page),
        page.after,
        page.planned,
        page.unchanged,
        page.next ?? null,
        page.repositories ?? 0,
        page.repository === undefined ? null : page.ruleId,
      );
    },

    async recordRuleFailure(runId, ruleId, failure) {
      writeRuleFailure(database, runId, ruleId, failure);
    },

    async recordOutcome(outcome) {
      await database.soon(() => writeOutcome(database, outcome));
    },

    async endRun(runId, state, endedAt) {
      const ended = database.run(
        `UPDATE runs SET state = ?, ended_at = ? WHERE id = ? AND state = 'running'`,
        state,
        endedAt,
        runId,
      );
      return ended > 0;
    },

    async readRun(runId) {
      const row = database.get<RunRow>(`SELECT ${runColumns} FROM runs WHERE id = ?`, runId);
      return row && toRun(database, row);
    },

    async listRuns(limit) {
      return database
        .all<RunRow>(`SELECT ${runColumns} FROM runs ORDER BY started_at DESC, id DESC LIMIT ?`, limit)
        .map((row) => toRun(database, row));
    },

    async runBefore({ id, trigger, startedAt }) {
      const row = database.get<RunRow>(
        `SELECT ${runColumns} FROM runs WHERE trigger = ? AND state = 'done' AND id <> ? AND started_at <= ?
         ORDER BY started_at DESC, id DESC LIMIT 1`,
        trigger,
        id,
        startedAt,
      );
      return row && toRun(database, row);
    },

    async *readOutcomes(runId, results) {
      let after = { registry: '', repository: '', name: '', rule_id: '' };
      for (;;) {
        const rows: Array<typeof after & { body: string }> = database.all(
          `SELECT registry, repository, name, rule_id, body FROM outcomes
           WHERE run_id = ? AND (registry, repository, name, rule_id) > (?, ?, ?, ?)
             ${results ? 'AND result IN (SELECT value FROM json_each(?))' : ''}
           ORDER BY registry, repository, name, rule_id LIMIT ${pageSize}`,
          runId,
          after.registry,
          after.repository,
          after.name,
          after.rule_id,
          ...(results ? [JSON.stringify(results)] : []),
        );
        const last = rows.at(-1);
        if (!last) return;
        after = last;
        yield rows.map((row): Outcome => JSON.parse(row.body));
        if (rows.length < pageSize) return;
      }
    },

    async readRules(runId) {
      return readRules(database, runId);
    },

    async readHistory({ registry, repository, ...name }, runIds) {
      return database
        .all<{ body: string }>(
          `SELECT o.body FROM json_each(?) run CROSS JOIN outcomes o
           ON o.run_id = run.value AND o.registry = ? AND o.repository = ? AND o.name = ? ORDER BY run.key, o.rule_id`,
          JSON.stringify(runIds),
          registry,
          repository,
          nameOf({ registry, repository, ...name }),
        )
        .map(({ body }): Outcome => JSON.parse(body));
    },
  };
}

/** By the index on results, which has every column that is summed: no outcome is read whole. */
function readRules(database: Database, runId: string): RuleCounts[] {
  const rules = new Map<string, RuleCounts>();
  const ruleOf = (ruleId: string): RuleCounts => {
    const rule = rules.get(ruleId) ?? { ...noCounts, ruleId, isExpanded: false };
    rules.set(ruleId, rule);
    return rule;
  };
  for (const page of database.all<{ rule_id: string; planned: number; unchanged: number; is_expanded: number }>(
    `SELECT coalesce(rule_for_many, rule_id) rule_id, sum(planned) planned, sum(unchanged) unchanged,
       max(after = '') AND count(DISTINCT iif(next IS NULL, rule_id, NULL)) > sum(repositories) is_expanded
     FROM pages WHERE run_id = ? AND rule_id <> '' GROUP BY 1`,
    runId,
  )) {
    const { planned, unchanged } = page;
    // Pages of dead letters are none of the rule: they do not begin at its first tag.
    Object.assign(ruleOf(page.rule_id), { planned, unchanged, isExpanded: page.is_expanded === 1 });
  }
  for (const sum of database.all<{ rule_id: string; result: Outcome['result']; count: number; bytes: number }>(
    'SELECT rule_id, result, count(*) count, sum(bytes) bytes FROM outcomes WHERE run_id = ? GROUP BY rule_id, result',
    runId,
  )) {
    const rule = ruleOf(sum.rule_id);
    rule[sum.result] += sum.count;
    rule.bytes += sum.bytes;
  }
  return [...rules.values()].sort((a, b) => (a.ruleId < b.ruleId ? -1 : 1));
}

/** Replaces an earlier outcome of the same run, rule and destination. But `unchanged` does not replace `copied` or `deleted`. */
export function writeOutcome(database: Database, outcome: Outcome): void {
  const { destination } = outcome;
  database.run(
    `INSERT INTO outcomes (run_id, registry, repository, name, rule_id, result, bytes, at, body)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET result = excluded.result, bytes = excluded.bytes, at = excluded.at, body = excluded.body
     WHERE excluded.at >= at AND NOT (result IN ('copied', 'deleted') AND excluded.result = 'unchanged')`,
    outcome.runId,
    destination.registry,
    destination.repository,
    nameOf(destination),
    outcome.ruleId,
    outcome.result,
    outcome.bytes,
    outcome.at,
    JSON.stringify(outcome),
  );
}

/** Records the latest failure of a rule in a run. */
export function writeRuleFailure(database: Database, runId: string, ruleId: string, failure: Failure): void {
  database.run(
    'INSERT INTO rule_failures (run_id, rule_id, failure) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET failure = excluded.failure',
    runId,
    ruleId,
    JSON.stringify(failure),
  );
}

interface RunRow {
  id: string;
  trigger: string;
  state: RunRecord['state'];
  started_at: number;
  ended_at: number | null;
  rules: number | null;
}

const runColumns = 'id, trigger, state, started_at, ended_at, rules';

function toRun(database: Database, row: RunRow): RunRecord {
  const pages = database.one<{ planned: number; unchanged: number; repositories: number }>(
    `SELECT coalesce(sum(planned), 0) planned, coalesce(sum(unchanged), 0) unchanged,
       coalesce(sum(repositories), 0) repositories
     FROM pages WHERE run_id = ?`,
    row.id,
  );
  const counts: RunCounts = { ...noCounts, planned: pages.planned, unchanged: pages.unchanged };
  for (const sum of database.all<{ result: Outcome['result']; count: number; bytes: number }>(
    'SELECT result, count(*) count, sum(bytes) bytes FROM outcomes WHERE run_id = ? GROUP BY result',
    row.id,
  )) {
    counts[sum.result] += sum.count;
    counts.bytes += sum.bytes;
  }
  return {
    id: row.id,
    trigger: row.trigger,
    startedAt: row.started_at,
    endedAt: row.ended_at ?? undefined,
    state: row.state,
    rules:
      row.rules === null
        ? undefined
        : { total: row.rules + pages.repositories, expanded: countExpanded(database, row.id) },
    ruleFailures: database
      .all<{ rule_id: string; failure: string }>(
        'SELECT rule_id, failure FROM rule_failures WHERE run_id = ? ORDER BY rule_id',
        row.id,
      )
      .map((failed) => ({ ruleId: failed.rule_id, failure: JSON.parse(failed.failure) })),
    counts,
  };
}

function countExpanded(database: Database, runId: string): number {
  return database.one<{ count: number }>(
    `SELECT count(*) count FROM (
       SELECT rule_id FROM pages WHERE run_id = ? AND next IS NULL AND rule_id <> ''
       UNION SELECT rule_id FROM rule_failures WHERE run_id = ?)`,
    runId,
    runId,
  ).count;
}
