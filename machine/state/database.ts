import { closeSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DatabaseSync as Sqlite, StatementSync } from 'node:sqlite';
import { configurationError, TranshipError } from '../../core/model/errors.ts';
import { createBatch } from './batch.ts';
import { type FileLock, tryLock } from './file-lock.ts';
import { lockOwner, type OwnerLock } from './owner-lock.ts';
import { migrations } from './schema.ts';
import { DatabaseSync, sqliteCode, sqliteCodeOf } from './sqlite.ts';
import { prepareStateDirectory } from './state-dir.ts';

export type SqlValue = string | number | null;

/**
 * One open state database. All calls but `soon` are synchronous and short; other processes may work on the same file. `Row` is
 * what the query gives, by the column types of schema.ts: its tables are STRICT.
 */
export interface Database {
  /** The state directory. */
  directory: string;
  /** The rows of a query; each statement is prepared once. */
  all<Row>(sql: string, ...values: SqlValue[]): Row[];
  /** The first row. */
  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined;
  /** The first row of a query that always has one, as a count has. */
  one<Row>(sql: string, ...values: SqlValue[]): Row;
  /** @returns the number of rows changed */
  run(sql: string, ...values: SqlValue[]): number;
  /**
   * Does all of `work` or nothing of it, with the write lock held from the start. Transactions do not nest. With
   * `durable` the work is on the disk when this returns, even if the power fails. Without, it survives the end of the
   * process but not a power cut, and nothing waits for the disk. The file stays consistent either way.
   */
  transaction<T>(work: () => T, options?: { durable?: boolean }): T;
  /** As `transaction`, a few milliseconds later and in one transaction with what others ask for meanwhile; in order. */
  soon<T>(work: () => T, options?: { durable?: boolean }): Promise<T>;
  /** The name of this process as an owner of runs. It counts as alive until {@link close} or the end of the process. */
  owner(): string;
  /** A lock of this name on the state directory; undefined while another process has it. */
  tryLock(name: string): FileLock | undefined;
  close(): void;
}

const busyTimeoutMs = 10_000;

/** Rows of node:sqlite are untyped: {@link Database} says what makes this safe. */
const rowsOf = <Row>(statement: StatementSync, values: SqlValue[]): Row[] => statement.all(...values) as Row[];

/**
 * Opens, and where needed creates or migrates, the database of a state directory.
 *
 * @throws TranshipError `configuration` where a person must give another directory or mend this one: not writable,
 *   damaged, or written by a newer version; `permanent` with `disk-failed` where the disk is full or broken. Calls on
 *   the open database throw the same, and `transient` where other processes hold the lock too long.
 */
export function openDatabase(directory: string): Database {
  const file = join(directory, 'state.db');
  const sqlite = explained(file, () => {
    prepareStateDirectory(directory);
    // Created before SQLite does it, for its mode; SQLite gives the same mode to the files beside it.
    closeSync(openSync(file, 'a', 0o600));
    return new DatabaseSync(file, { timeout: busyTimeoutMs });
  });
  return prepare(sqlite, file, directory);
}

/**
 * An empty database that is kept nowhere. No run can start in it: runs have owners, and those have a lock in a
 * directory.
 */
export function openMemoryDatabase(): Database {
  return prepare(new DatabaseSync(':memory:'), ':memory:', '/dev/null');
}

/** What `work` returns; what it throws, as {@link openDatabase} says. */
function explained<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw explain(error, file);
  }
}

function prepare(sqlite: Sqlite, file: string, directory: string): Database {
  const guard = <T>(work: () => T): T => explained(file, work);
  try {
    guard(() => {
      useWriteAheadLog(sqlite);
      sqlite.exec('PRAGMA synchronous = NORMAL');
      // What a statement keeps to undo itself is a few pages, and would have a file each time.
      sqlite.exec('PRAGMA temp_store = MEMORY');
      migrate(sqlite, directory);
    });
  } catch (error) {
    sqlite.close();
    throw error;
  }

  const statements = new Map<string, StatementSync>();
  const prepared = (sql: string): StatementSync => {
    const known = statements.get(sql);
    if (known) return known;
    const statement = sqlite.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  let lock: OwnerLock | undefined;
  const transaction = <T>(work: () => T, { durable = false }: { durable?: boolean } = {}): T =>
    guard(() => {
      // SQLite takes a change of this setting only outside a transaction.
      if (durable) sqlite.exec('PRAGMA synchronous = FULL');
      try {
        return inTransaction(sqlite, prepared, work);
      } finally {
        if (durable) sqlite.exec('PRAGMA synchronous = NORMAL');
      }
    });
  const batch = createBatch(transaction);

  return {
    directory,
    all: <Row>(sql: string, ...values: SqlValue[]) => guard(() => rowsOf<Row>(prepared(sql), values)),
    get: <Row>(sql: string, ...values: SqlValue[]) => guard(() => rowsOf<Row>(prepared(sql), values)[0]),
    one: <Row>(sql: string, ...values: SqlValue[]) => {
      const [row] = guard(() => rowsOf<Row>(prepared(sql), values));
      if (row === undefined) throw new Error(`no row: ${sql}`);
      return row;
    },
    run: (sql, ...values) => guard(() => Number(prepared(sql).run(...values).changes)),
    transaction,
    soon: batch.add,
    owner: () => {
      lock ??= guard(() => lockOwner(directory));
      return lock.id;
    },
    tryLock: (name) => guard(() => tryLock(join(directory, `${name}.lock`))),
    close: () => {
      if (sqlite.isOpen) {
        batch.flush();
        sqlite.close();
      }
      lock?.release();
    },
  };
}

function inTransaction<T>(sqlite: Sqlite, prepared: (sql: string) => StatementSync, work: () => T): T {
  prepared('BEGIN IMMEDIATE').run();
  try {
    const result = work();
    prepared('COMMIT').run();
    return result;
  } catch (error) {
    // A full disk makes SQLite roll back by itself.
    if (sqlite.isTransaction) sqlite.exec('ROLLBACK');
    throw error;
  }
}

/**
 * SQLite does not wait for the lock in this change (https://www.sqlite.org/c3ref/busy_handler.html: it gives up where
 * waiting could deadlock), so that several first starts at once would fail: ten of sixty did, four at a time.
 */
function useWriteAheadLog(sqlite: Sqlite): void {
  const deadline = Date.now() + busyTimeoutMs;
  for (;;) {
    try {
      sqlite.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (sqliteCodeOf(error) !== sqliteCode.busy || Date.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

function migrate(sqlite: Sqlite, directory: string): void {
  const version = (): number => Number(sqlite.prepare('PRAGMA user_version').get()?.user_version);
  if (version() === migrations.length) return;
  inTransaction(
    sqlite,
    (sql) => sqlite.prepare(sql),
    () => {
      const from = version();
      if (from > migrations.length) {
        throw configurationError(
          `the state directory ${directory} was written by a newer version of tranship (schema ${from}, this one knows ${migrations.length})`,
          {
            place: { file: directory },
            mend: 'Use that version, or give this one a directory of its own with --state.',
          },
        );
      }
      for (const step of migrations.slice(from)) sqlite.exec(step);
      sqlite.exec(`PRAGMA user_version = ${migrations.length}`);
    },
  );
}

/** What a person must mend before the state can be used. */
const unusable: Record<number, { what: string; mend: string }> = {
  [sqliteCode.readOnly]: {
    what: 'cannot be written',
    mend: 'Make the directory and its files writable, or give another with --state.',
  },
  [sqliteCode.corrupt]: { what: 'is damaged', mend: removeIt() },
  [sqliteCode.cannotOpen]: {
    what: 'cannot be opened',
    mend: 'Check its rights, or give another directory with --state.',
  },
  [sqliteCode.notADatabase]: { what: 'is not a database', mend: removeIt() },
};

/** What the disk does to us: nobody gave a wrong setting, and it may happen in the middle of a run. */
const diskFailures: Record<number | string, { what: string; mend: string }> = {
  [sqliteCode.full]: diskIsFull(),
  ENOSPC: diskIsFull(),
  EDQUOT: diskIsFull(),
  [sqliteCode.io]: diskIsBroken(),
  EIO: diskIsBroken(),
};

function diskIsFull() {
  return {
    what: 'cannot grow: the disk is full',
    mend: 'Free some space, or give another directory with --state; then run it again.',
  };
}

function diskIsBroken() {
  return { what: 'cannot be read or written', mend: 'Check the disk, or give another directory with --state.' };
}

function removeIt(): string {
  return 'Remove it and the files of the same name ending in -wal and -shm: the next run asks the registries again and copies nothing that is there already.';
}

function explain(error: unknown, file: string): unknown {
  if (error instanceof TranshipError) return error;
  const code = sqliteCodeOf(error);
  if (code === sqliteCode.busy) {
    return new TranshipError(`the state database ${file} is held by another process`, {
      class: 'transient',
      code: 'timeout',
      cause: error,
    });
  }
  if (!(error instanceof Error)) return error;
  const fileCode = 'syscall' in error && 'code' in error ? String(error.code) : undefined;
  const failed = diskFailures[fileCode ?? code ?? ''];
  if (failed !== undefined) {
    return new TranshipError(`the state database ${file} ${failed.what}: ${error.message}`, {
      class: 'permanent',
      code: 'disk-failed',
      mend: failed.mend,
      cause: error,
    });
  }
  const wrong = unusable[fileCode === undefined ? (code ?? 0) : sqliteCode.cannotOpen];
  if (wrong === undefined) return error;
  return configurationError(`the state database ${file} ${wrong.what}: ${error.message}`, {
    place: { file: fileCode === undefined ? file : dirname(file) },
    mend: wrong.mend,
    cause: error,
  });
}
