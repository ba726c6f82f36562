/**
 * The steps that lead from an empty file to today's tables; `PRAGMA user_version` counts the steps taken. A step that
 * was released is never changed, a new one is put at the end.
 *
 * - `name` is a tag or a digest; only digests hold a colon. `by_digest` puts them behind the tags.
 * - Text is compared as UTF-8 bytes (SQLite's BINARY collation), times are epoch milliseconds.
 * - `referrers` is what was seen of the artifacts that refer to an image, as JSON.
 * - `pages`: the pages of one repository of a rule for many have a `rule_id` of their own (`planName`).
 * - `lanes`: one row for each set of registries that tasks of a run talk to. The next task that avoids a parked
 *   registry is then found by one look per lane, however many tasks wait for the parked one.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE records (
    registry TEXT NOT NULL, repository TEXT NOT NULL, by_digest INTEGER NOT NULL, name TEXT NOT NULL,
    source_registry TEXT NOT NULL, source_repository TEXT NOT NULL, source_name TEXT NOT NULL,
    source_digest TEXT NOT NULL, destination_digest TEXT, platforms TEXT NOT NULL, at INTEGER NOT NULL, how TEXT NOT NULL,
    PRIMARY KEY (registry, repository, by_digest, name)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE blobs (
    registry TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (registry, digest, repository)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE leases (key TEXT PRIMARY KEY, owner TEXT NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE parks (registry TEXT PRIMARY KEY, until INTEGER NOT NULL, reason TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE runs (
    id TEXT PRIMARY KEY, trigger TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL,
    started_at INTEGER NOT NULL, ended_at INTEGER, rules INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX runs_by_start ON runs (started_at, id);

  CREATE TABLE pages (
    run_id TEXT NOT NULL, rule_id TEXT NOT NULL, after TEXT NOT NULL,
    planned INTEGER NOT NULL, unchanged INTEGER NOT NULL, next TEXT,
    PRIMARY KEY (run_id, rule_id, after)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE rule_failures (
    run_id TEXT NOT NULL, rule_id TEXT NOT NULL, failure TEXT NOT NULL,
    PRIMARY KEY (run_id, rule_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE outcomes (
    run_id TEXT NOT NULL, registry TEXT NOT NULL, repository TEXT NOT NULL, name TEXT NOT NULL, rule_id TEXT NOT NULL,
    result TEXT NOT NULL, bytes INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (run_id, registry, repository, name, rule_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX outcomes_by_result ON outcomes (run_id, result, bytes);

  CREATE TABLE lanes (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, registries TEXT NOT NULL,
    UNIQUE (run_id, registries)
  ) STRICT;

  CREATE TABLE queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    visible_at INTEGER NOT NULL, receives INTEGER NOT NULL DEFAULT 0, owner TEXT, durable INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX queue_by_visibility ON queue (lane, visible_at, id);

  CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, rule_id TEXT NOT NULL, class TEXT NOT NULL,
    code TEXT NOT NULL, registries TEXT NOT NULL, body TEXT NOT NULL, failure TEXT NOT NULL, at INTEGER NOT NULL
  ) STRICT;
  `,
  `
  ALTER TABLE records ADD COLUMN referrers TEXT;
  `,
  `
  CREATE TABLE pulls (
    rule_id TEXT PRIMARY KEY, pulls INTEGER NOT NULL, window_ms INTEGER NOT NULL, parts TEXT NOT NULL,
    version INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE quotas (
    registry TEXT PRIMARY KEY, pull_limit INTEGER NOT NULL, remaining INTEGER NOT NULL, window_ms INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE push_events (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE INDEX push_events_by_time ON push_events (at);
  `,
  `
  ALTER TABLE pages ADD COLUMN repositories INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE pages ADD COLUMN rule_for_many TEXT;
  `,
];
