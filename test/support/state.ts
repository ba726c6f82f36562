import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { type Database, openDatabase } from '../../machine/state/database.ts';

/** A state directory of its own for each test, removed by `clean` with all databases that were opened by it. */
export function temporaryState(): {
  directory: () => string;
  open: (directory: string) => Database;
  clean: () => void;
} {
  const directories: string[] = [];
  const databases: Database[] = [];
  return {
    directory: () => {
      const directory = mkdtempSync(join(tmpdir(), 'tranship-state-'));
      directories.push(directory);
      return directory;
    },
    open: (directory) => {
      const database = openDatabase(directory);
      databases.push(database);
      return database;
    },
    clean: () => {
      for (const database of databases.splice(0)) database.close();
      for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
    },
  };
}

/** How many messages of a run the queue holds, by what they wait for. */
export function countQueue(
  database: Database,
  runId: string,
  now = Date.now(),
): { visible: number; inFlight: number; delayed: number } {
  return database.one(
    `SELECT count(*) FILTER (WHERE visible_at <= ?1) visible,
       count(*) FILTER (WHERE visible_at > ?1 AND owner IS NOT NULL) inFlight,
       count(*) FILTER (WHERE visible_at > ?1 AND owner IS NULL) delayed
     FROM lanes l JOIN queue q ON q.lane = l.id WHERE l.run_id = ?2`,
    now,
    runId,
  );
}

/** A task of `run-1` that copies one tag from `source.example` to `destination.example`. */
export function task(tag: string, over: Partial<Task> = {}): Task {
  return {
    version: 1,
    runId: 'run-1',
    ruleId: 'rule-1',
    source: { registry: 'source.example', repository: 'app', tag },
    destinations: [{ registry: 'destination.example', repository: 'app', tag }],
    platforms: { platforms: [], os: [], arch: [] },
    force: false,
    plannedAt: 1,
    attempt: 0,
    ...over,
  };
}
