import type { Database } from './database.ts';

/** When runs of one trigger ended last. Epoch ms. */
export interface LastRun {
  trigger: string;
  endedAt: number;
  /** Of the last one in which nothing failed or was deferred. */
  succeededAt?: number;
}

/** A run that did all it was to do. */
export const isSuccess = `state = 'done'
  AND NOT EXISTS (SELECT 1 FROM outcomes WHERE run_id = runs.id AND result IN ('failed', 'deferred'))
  AND NOT EXISTS (SELECT 1 FROM rule_failures WHERE run_id = runs.id)`;

/** The last ended run of each trigger. */
export function lastRuns(database: Database): LastRun[] {
  return database
    .all<{ trigger: string; ended: number; succeeded: number | null }>(
      `SELECT trigger, max(ended_at) ended, max(CASE WHEN ${isSuccess} THEN ended_at END) succeeded
       FROM runs WHERE ended_at IS NOT NULL GROUP BY trigger`,
    )
    .map(({ trigger, ended, succeeded }) => ({ trigger, endedAt: ended, succeededAt: succeeded ?? undefined }));
}
