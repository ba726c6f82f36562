import type { Failure } from '../../core/model/errors.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Outcome, RunCounts, RunRecord } from '../../core/pipeline/ports/runs.ts';
import type { Database } from './database.ts';
import { nameOf } from './names.ts';

const pageSize = 1000;

type RunLedger = Pick<
  Ledger,
  'startRun' | 'recordPage' | 'recordRuleFailure' | 'recordOutcome' | 'endRun' | 'readRun' | 'listRuns' | 'readOutcomes'
>;

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
        'INSERT INTO pages (run_id, rule_id, after, planned, unchanged, next) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
        page.runId,
        page.ruleId,
        page.after,
        page.planned,
        page.unchanged,
        page.next ?? null,
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
  };
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
  const pages = database.one<{ planned: number; unchanged: number }>(
    'SELECT coalesce(sum(planned), 0) planned, coalesce(sum(unchanged), 0) unchanged FROM pages WHERE run_id = ?',
    row.id,
  );
  const counts: RunCounts = {
    planned: pages.planned,
    copied: 0,
    deleted: 0,
    unchanged: pages.unchanged,
    failed: 0,
    deferred: 0,
    bytes: 0,
  };
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
    rules: row.rules === null ? undefined : { total: row.rules, expanded: countExpanded(database, row.id) },
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
