import { setTimeout as sleep } from 'node:timers/promises';
import { configurationError } from '../../core/model/errors.ts';
import type { Database } from './database.ts';
import type { FileLock } from './file-lock.ts';

const LOOK_EVERY_MS = 100;

/**
 * The right to serve a state directory, which one process has at a time: two would both run the schedules.
 *
 * @param options.patienceMs how long another process is waited for, which may be about to end
 * @param options.waits tells that it is waited for
 * @returns undefined where the signal fired before
 * @throws TranshipError `configuration` where the other one goes on
 */
export async function lockServing(
  database: Database,
  { patienceMs, waits, signal }: { patienceMs: number; waits: () => void; signal: AbortSignal },
): Promise<FileLock | undefined> {
  const deadline = Date.now() + patienceMs;
  let lock = database.tryLock('serving');
  if (lock === undefined) waits();
  while (lock === undefined && !signal.aborted && Date.now() < deadline) {
    await sleep(LOOK_EVERY_MS);
    lock = database.tryLock('serving');
  }
  if (lock !== undefined || signal.aborted) return lock;
  const { directory } = database;
  throw configurationError(`another tranship serve runs on the state directory ${directory}`, {
    place: { file: directory },
    mend: 'Stop it, or give this one a directory of its own with --state.',
  });
}
