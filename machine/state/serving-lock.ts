import { setTimeout as sleep } from 'node:timers/promises';
import { configurationError } from '../../core/model/errors.ts';
import type { Database } from './database.ts';

const LOOK_EVERY_MS = 100;

export interface ServingLock {
  release(): void;
}

export interface ServingLockOptions {
  /** How long to wait for another process that has it: it may be about to end. */
  patienceMs: number;
  /** Called once when there is such a process. */
  waits: () => void;
  /** Ends the wait. */
  signal: AbortSignal;
}

/**
 * The right to serve a state directory. One process has it at a time: two would both run the schedules.
 *
 * @returns undefined where the signal fired before
 * @throws TranshipError `configuration` where another process keeps it
 */
export async function lockServing(
  database: Database,
  { patienceMs, waits, signal }: ServingLockOptions,
): Promise<ServingLock | undefined> {
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
