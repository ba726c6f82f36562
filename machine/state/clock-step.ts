import type { Database } from './database.ts';
import { IN_NEXT_ROUND } from './queue.ts';

/** Workers take leases for a minute and renew them. */
const LONGEST_LEASE_MS = 5 * 60_000;

/**
 * Shifts what waits for a time, after the wall clock was set back while this process ran: else all of it would wait
 * until the clock is there again.
 *
 * @param byMs how far the clock was set back
 * @param now epoch ms by the clock of now
 */
export function shiftWaits(database: Database, byMs: number, now: number): void {
  database.transaction(() => {
    database.run(
      'UPDATE queue SET visible_at = visible_at - ? WHERE visible_at > ? AND visible_at <> ?',
      byMs,
      now,
      IN_NEXT_ROUND,
    );
    database.run('UPDATE leases SET until = until - ? WHERE until > ?', byMs, now);
    database.run('UPDATE parks SET until = until - ? WHERE until > ?', byMs, now);
    database.run('UPDATE dead_letters SET at = at - ? WHERE at > ?', byMs, now);
  });
}

/**
 * Shortens waits that are longer than any can be: they were written by a clock that was ahead.
 *
 * @param longestMs the longest that a durable message waits
 * @param now epoch ms
 */
export function clampWaits(database: Database, longestMs: number, now: number): void {
  database.transaction(() => {
    database.run(
      'UPDATE queue SET visible_at = ? WHERE durable AND owner IS NULL AND visible_at > ? AND visible_at <> ?',
      now,
      now + longestMs,
      IN_NEXT_ROUND,
    );
    database.run('DELETE FROM leases WHERE until > ?', now + LONGEST_LEASE_MS);
    database.run('UPDATE dead_letters SET at = ? WHERE at > ?', now, now);
  });
}
