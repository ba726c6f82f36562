import type { Pulls, StoredPulls } from '../../core/pipeline/ports/pulls.ts';
import type { Database } from './database.ts';

interface PullRow {
  rule_id: string;
  pulls: number;
  window_ms: number;
  parts: string;
  version: number;
}

/** Pulls of rules that have a budget, and the quotas of registries. */
export function openPulls(database: Database): Pulls {
  return {
    async readPulls(ruleId) {
      const row = database.get<PullRow>('SELECT * FROM pulls WHERE rule_id = ?', ruleId);
      return row && toPulls(row);
    },

    async writePulls({ ruleId, counts: { budget, parts }, version }) {
      const changed = database.run(
        `INSERT INTO pulls (rule_id, pulls, window_ms, parts, version) SELECT ?, ?, ?, ?, ?
         WHERE ? = 1 OR EXISTS (SELECT 1 FROM pulls WHERE rule_id = ?)
         ON CONFLICT DO UPDATE SET pulls = excluded.pulls, window_ms = excluded.window_ms, parts = excluded.parts,
           version = excluded.version
         WHERE pulls.version = excluded.version - 1`,
        ruleId,
        budget.pulls,
        budget.windowMs,
        JSON.stringify(parts),
        version,
        version,
        ruleId,
      );
      return changed > 0;
    },

    async listPulls() {
      return database.all<PullRow>('SELECT * FROM pulls ORDER BY rule_id').map(toPulls);
    },

    async noteQuota({ registry, limit, remaining, windowMs, at }) {
      const sql = `INSERT INTO quotas (registry, pull_limit, remaining, window_ms, at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET pull_limit = excluded.pull_limit, remaining = excluded.remaining,
           window_ms = excluded.window_ms, at = excluded.at
         WHERE excluded.at >= quotas.at`;
      await database.soon(() => database.run(sql, registry, limit, remaining, windowMs, at));
    },

    async listQuotas() {
      return database.all(
        'SELECT registry, pull_limit AS "limit", remaining, window_ms AS windowMs, at FROM quotas ORDER BY registry',
      );
    },
  };
}

function toPulls({ rule_id: ruleId, pulls, window_ms: windowMs, parts, version }: PullRow): StoredPulls {
  return { ruleId, counts: { budget: { pulls, windowMs }, parts: JSON.parse(parts) }, version };
}
