import type { Database } from './database.ts';

/**
 * Drops the dead letters of earlier runs that this run made needless: each of their destinations was tried again in it, or
 * is known to be in step since the letter was written. Otherwise a tag that fails every night would pile up.
 */
export function dropSettled(database: Database, runId: string): void {
  database.run(
    `DELETE FROM dead_letters AS dead WHERE run_id <> ? AND NOT EXISTS (
       SELECT 1 FROM (
         SELECT value ->> 'registry' registry, value ->> 'repository' repository,
           coalesce(value ->> 'tag', value ->> 'digest') name
         FROM json_each(dead.body, '$.destinations')
       ) AS wanted
       WHERE NOT EXISTS (
         SELECT 1 FROM outcomes o WHERE o.run_id = ? AND o.registry = wanted.registry
           AND o.repository = wanted.repository AND o.name = wanted.name AND o.result <> 'deferred')
       AND NOT EXISTS (
         SELECT 1 FROM records r WHERE r.registry = wanted.registry AND r.repository = wanted.repository
           AND r.name = wanted.name AND r.at >= dead.at))`,
    runId,
    runId,
  );
}
