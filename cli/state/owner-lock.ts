import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync as Sqlite } from 'node:sqlite';
import { DatabaseSync, sqliteCode, sqliteCodeOf } from './sqlite.ts';

/**
 * Whether a process lives, told by a file lock: the operating system frees it when the process ends, however it ends, and
 * keeps it while the machine sleeps. Process ids are reused and differ between containers that share a directory; a
 * heartbeat goes silent when a laptop sleeps. Node has no file lock of its own, SQLite has, so each owner is a tiny
 * database that is held locked and never written.
 */
export interface OwnerLock {
  id: string;
  release(): void;
}

/** A new owner that lives until it is released or its process ends. */
export function lockOwner(directory: string): OwnerLock {
  const id = randomUUID();
  const file = lockFile(directory, id);
  const held = tryLock(file);
  if (!held) throw new Error(`${file} is locked already`);
  return {
    id,
    release: () => {
      if (held.isOpen) held.close();
      rmSync(file, { force: true });
    },
  };
}

/** True while the process that took the lock runs and did not release it. */
export function ownerLives(directory: string, id: string): boolean {
  const file = lockFile(directory, id);
  if (!existsSync(file)) return false;
  const probe = tryLock(file);
  probe?.close();
  return probe === undefined;
}

/** Takes away what a dead owner left. */
export function forgetOwner(directory: string, id: string): void {
  rmSync(lockFile(directory, id), { force: true });
}

function lockFile(directory: string, id: string): string {
  return join(directory, 'owners', `${id}.lock`);
}

function tryLock(file: string): Sqlite | undefined {
  const sqlite = new DatabaseSync(file, { timeout: 0 });
  try {
    // No journal on the disk: there is nothing to roll back, and a killed process would leave it.
    sqlite.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return sqlite;
  } catch (error) {
    sqlite.close();
    if (sqliteCodeOf(error) === sqliteCode.busy) return undefined;
    throw error;
  }
}
