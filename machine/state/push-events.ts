import type { PushEventView } from '../../core/status/view.ts';
import type { Database } from './database.ts';

const KEPT_MS = 24 * 3_600_000;
const MOST_KEPT = 20_000;

/** Stores what was announced and what became of it, and lets go of what is older than a day. */
export function writePushEvents(database: Database, events: readonly PushEventView[], now: number): void {
  database.transaction(() => {
    database.run(
      "INSERT INTO push_events (at, body) SELECT value ->> 'at', value FROM json_each(?)",
      JSON.stringify(events),
    );
    database.run('DELETE FROM push_events WHERE at < ?', now - KEPT_MS);
    database.run('DELETE FROM push_events WHERE id <= (SELECT max(id) FROM push_events) - ?', MOST_KEPT);
  });
}

/** The newest events of the last day, newest first. */
export function listPushEvents(database: Database, limit: number, now: number): PushEventView[] {
  return database
    .all<{ body: string }>('SELECT body FROM push_events WHERE at >= ? ORDER BY id DESC LIMIT ?', now - KEPT_MS, limit)
    .map(({ body }): PushEventView => JSON.parse(body));
}
