import { setTimeout as sleep } from 'node:timers/promises';
import { TranshipError } from '../../core/model/errors.ts';
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
 * @throws TranshipError `refused` where another process keeps it: it may be gone at the next try
 */
export async function lockServing(
  database: Database,
  { patienceMs, waits, signal }: ServingLockOptions,
): Promise<ServingLock | undefined> {
  let lock = database.tryLock('serving');
  if (lock === undefined) waits();
  // Counted in looks: the clock may be set meanwhile.
  for (let looks = patienceMs / LOOK_EVERY_MS; lock === undefined && !signal.aborted && looks > 0; looks--) {
    await sleep(LOOK_EVERY_MS);
    lock = database.tryLock('serving');
  }
  if (lock !== undefined || signal.aborted) return lock;
  const { directory } = database;
  throw new TranshipError(`another tranship serve runs on the state directory ${directory}`, {
    class: 'permanent',
    code: 'refused',
    mend: 'Stop it, or give this one a directory of its own with --state.',
  });
}
