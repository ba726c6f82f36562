/**
 * `node:sqlite` without the ExperimentalWarning that the first releases of Node 24 print when it is loaded: every
 * command would show it, and it means nothing to users.
 */
function loadSqlite(): typeof import('node:sqlite') {
  const emitWarning = process.emitWarning;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}

export const { DatabaseSync } = loadSqlite();

/** The primary result codes of SQLite that users can do something about. https://www.sqlite.org/rescode.html */
export const sqliteCode = { busy: 5, readOnly: 8, io: 10, corrupt: 11, full: 13, cannotOpen: 14, notADatabase: 26 };

/** The primary result code of an error of `node:sqlite`, undefined for any other error. */
export function sqliteCodeOf(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code & 0xff : undefined;
}
