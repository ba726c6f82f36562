import type { Lease } from '../../core/pipeline/ports/leases.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';
import type { Database, SqlValue } from './database.ts';
import { nameOf, targetOf } from './names.ts';
import { openPulls } from './pulls.ts';
import { openRuns } from './runs.ts';

const pageSize = 1000;
/** Sorts after every tag: tags are ASCII. */
const pastAllTags = '\u{10FFFF}';

interface RecordRow {
  by_digest: number;
  name: string;
  source_registry: string;
  source_repository: string;
  source_name: string;
  source_digest: string;
  destination_digest: string | null;
  platforms: string;
  at: number;
  how: SyncRecord['how'];
  referrers: string | null;
}

const recordColumns =
  'by_digest, name, source_registry, source_repository, source_name, source_digest, destination_digest, platforms, at, how, referrers';

/**
 * The ledger of one machine. Records of destinations by digest come after those with a tag, and are not part of a range
 * of tags.
 *
 * @param options.now the clock of leases and run owners, epoch ms
 */
export function openLedger(database: Database, options: { now?: () => number } = {}): Ledger {
  const now = options.now ?? Date.now;
  /** A change that each task makes goes with those of others. @returns the number of rows changed */
  const change = (sql: string, ...values: SqlValue[]) => database.soon(() => database.run(sql, ...values));

  return {
    ...openRuns(database),
    ...openPulls(database),

    async *readRepository(repository, range = {}) {
      const byDigest = range.from === undefined && range.to === undefined ? 1 : 0;
      let after: { byDigest: number; name: string } | undefined;
      for (;;) {
        const rows: RecordRow[] = database.all(
          `SELECT ${recordColumns} FROM records
           WHERE registry = ? AND repository = ? AND (by_digest, name) ${after ? '>' : '>='} (?, ?) AND (by_digest, name) <= (?, ?)
           ORDER BY by_digest, name LIMIT ${pageSize}`,
          repository.registry,
          repository.repository,
          after?.byDigest ?? 0,
          after?.name ?? range.from ?? '',
          byDigest,
          range.to ?? pastAllTags,
        );
        const last = rows.at(-1);
        if (!last) return;
        after = { byDigest: last.by_digest, name: last.name };
        yield rows.map((row) => toRecord(repository.registry, repository.repository, row));
        if (rows.length < pageSize) return;
      }
    },

    async read(destination) {
      const row = database.get<RecordRow>(
        `SELECT ${recordColumns} FROM records WHERE registry = ? AND repository = ? AND by_digest = ? AND name = ?`,
        destination.registry,
        destination.repository,
        destination.tag === undefined ? 1 : 0,
        nameOf(destination),
      );
      return row && toRecord(destination.registry, destination.repository, row);
    },

    async write(record) {
      const { destination, source } = record;
      await change(
        `INSERT INTO records (registry, repository, by_digest, name, source_registry, source_repository, source_name,
           source_digest, destination_digest, platforms, at, how, referrers)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET source_registry = excluded.source_registry, source_repository = excluded.source_repository,
           source_name = excluded.source_name, source_digest = excluded.source_digest,
           destination_digest = excluded.destination_digest, platforms = excluded.platforms, at = excluded.at, how = excluded.how,
           referrers = excluded.referrers
         WHERE excluded.at >= at`,
        destination.registry,
        destination.repository,
        destination.tag === undefined ? 1 : 0,
        nameOf(destination),
        source.registry,
        source.repository,
        nameOf(source),
        record.sourceDigest,
        record.destinationDigest ?? null,
        record.platforms,
        record.at,
        record.how,
        record.referrers === undefined ? null : JSON.stringify(record.referrers),
      );
    },

    async findBlobs(registry, digests, since) {
      // CROSS JOIN keeps the order of the tables: one look-up per digest instead of a scan of all blobs of the
      // registry.
      return database.all(
        `SELECT b.digest, b.repository, b.at FROM (SELECT DISTINCT value FROM json_each(?)) wanted
         CROSS JOIN blobs b ON b.registry = ? AND b.digest = wanted.value WHERE b.at > ?`,
        JSON.stringify(digests),
        registry,
        since,
      );
    },

    async writeBlobs(repository, digests, at) {
      await change(
        `INSERT INTO blobs (registry, digest, repository, at) SELECT ?, value, ?, ? FROM json_each(?) WHERE true
         ON CONFLICT DO UPDATE SET at = max(at, excluded.at)`,
        repository.registry,
        repository.repository,
        at,
        JSON.stringify(digests),
      );
    },

    async forgetBlobs(repository, digests) {
      await change(
        'DELETE FROM blobs WHERE registry = ? AND repository = ? AND digest IN (SELECT value FROM json_each(?))',
        repository.registry,
        repository.repository,
        JSON.stringify(digests),
      );
    },

    async acquireLease(key, owner, ttlMs) {
      return database.soon(() =>
        database.get<Lease>(
          `INSERT INTO leases (key, owner, until) VALUES (?, ?, ?)
           ON CONFLICT DO UPDATE SET owner = excluded.owner, until = excluded.until
           WHERE leases.owner = excluded.owner OR leases.until <= ?
           RETURNING key, owner, until`,
          key,
          owner,
          Math.round(now() + ttlMs),
          now(),
        ),
      );
    },

    async renewLease(lease, ttlMs) {
      const changed = await change(
        'UPDATE leases SET until = ? WHERE key = ? AND owner = ? AND until > ?',
        Math.round(now() + ttlMs),
        lease.key,
        lease.owner,
        now(),
      );
      return changed > 0;
    },

    async releaseLease(lease) {
      await change('DELETE FROM leases WHERE key = ? AND owner = ?', lease.key, lease.owner);
    },

    async park(registry, until, reason) {
      database.run(
        `INSERT INTO parks (registry, until, reason) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET until = excluded.until, reason = excluded.reason WHERE excluded.until > parks.until`,
        registry,
        Math.ceil(until),
        reason,
      );
    },

    async parks(at) {
      return database.all('SELECT registry, until, reason FROM parks WHERE until > ? ORDER BY registry', at);
    },
  };
}

function toRecord(registry: string, repository: string, row: RecordRow): SyncRecord {
  return {
    destination: targetOf(registry, repository, row.name),
    source: targetOf(row.source_registry, row.source_repository, row.source_name),
    sourceDigest: row.source_digest,
    destinationDigest: row.destination_digest ?? undefined,
    platforms: row.platforms,
    at: row.at,
    how: row.how,
    ...(row.referrers !== null && { referrers: JSON.parse(row.referrers) }),
  };
}
