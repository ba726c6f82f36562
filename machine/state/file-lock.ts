import { DatabaseSync, sqliteCode, sqliteCodeOf } from './sqlite.ts';

/**
 * A lock on a file. The operating system frees it when the process ends in any way, and keeps it while the machine
 * sleeps.
 */
export interface FileLock {
  release(): void;
}

/**
 * Takes the lock, and creates the file where it is missing. Node has no file locks but SQLite has, so the file is a
 * small database that is held locked and never written.
 *
 * @returns undefined while somebody else has it
 */
export function tryLock(file: string): FileLock | undefined {
  const sqlite = new DatabaseSync(file, { timeout: 0 });
  try {
    // No journal on the disk: there is nothing to roll back, and a killed process would leave the file behind.
    sqlite.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    sqlite.close();
    if (sqliteCodeOf(error) === sqliteCode.busy) return undefined;
    throw error;
  }
  return {
    release() {
      if (sqlite.isOpen) sqlite.close();
    },
  };
}
