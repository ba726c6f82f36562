import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Database } from './database.ts';
import { isSuccess } from './last-runs.ts';
import { forgetOwner, ownerLives } from './owner-lock.ts';

const dayMs = 24 * 60 * 60 * 1000;
const keptRuns = 100;
const keptRunsMs = 30 * dayMs;
const keptBlobPlacesMs = 30 * dayMs;

/**
 * Removes what nobody will ask for: runs that are neither among the newest 100 nor of the last 30 days, with their
 * outcomes, but for the last success of each trigger; places of blobs not confirmed for 30 days; leases and parks that
 * are over. Sync records, dead letters and runs that are not ended stay.
 *
 * @param now epoch ms
 */
export function prune(database: Database, now: number): void {
  database.transaction(() => {
    const runs = database.all<{ id: string }>(
      `DELETE FROM runs WHERE state <> 'running' AND started_at < ?
         AND id NOT IN (SELECT id FROM runs ORDER BY started_at DESC, id DESC LIMIT ${keptRuns})
         AND id NOT IN (SELECT id FROM (
           SELECT id, row_number() OVER (PARTITION BY trigger ORDER BY ended_at DESC) place FROM runs WHERE ${isSuccess}
         ) WHERE place = 1) RETURNING id`,
      now - keptRunsMs,
    );
    const ids = JSON.stringify(runs.map((run) => run.id));
    for (const table of ['outcomes', 'pages', 'rule_failures']) {
      database.run(`DELETE FROM ${table} WHERE run_id IN (SELECT value FROM json_each(?))`, ids);
    }
    database.run(
      `DELETE FROM lanes WHERE NOT EXISTS (SELECT 1 FROM queue WHERE lane = lanes.id)
         AND NOT EXISTS (SELECT 1 FROM runs WHERE id = lanes.run_id AND state = 'running')`,
    );
    database.run('DELETE FROM blobs WHERE at < ?', now - keptBlobPlacesMs);
    database.run('DELETE FROM leases WHERE until <= ?', now);
    database.run('DELETE FROM parks WHERE until <= ?', now);
  });
  pruneOwners(database.directory, now);
}

/**
 * Removes the locks of processes that were killed after their runs had ended. A young one stays: its owner may be about
 * to lock it.
 */
function pruneOwners(directory: string, now: number): void {
  const owners = join(directory, 'owners');
  for (const entry of readdirSync(owners, { withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.lock')) continue;
    const id = entry.name.slice(0, -'.lock'.length);
    const age = now - (statSync(join(owners, entry.name), { throwIfNoEntry: false })?.mtimeMs ?? now);
    if (age > dayMs && !ownerLives(directory, id)) forgetOwner(directory, id);
  }
}
