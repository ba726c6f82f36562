import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tryLock } from './file-lock.ts';

/**
 * A file lock that shows that a process is alive. Process ids will not do: they are reused, and differ between
 * containers that share a directory. A heartbeat will not do: it stops while a laptop sleeps.
 */
export interface OwnerLock {
  id: string;
  release(): void;
}

/** A new owner. It is alive until it is released or its process ends. */
export function lockOwner(directory: string): OwnerLock {
  const id = randomUUID();
  const file = lockFile(directory, id);
  const held = tryLock(file);
  if (!held) throw new Error(`${file} is locked already`);
  return {
    id,
    release: () => {
      held.release();
      forgetOwner(directory, id);
    },
  };
}

/** True while the process that took the lock runs and did not release it. */
export function ownerLives(directory: string, id: string): boolean {
  const file = lockFile(directory, id);
  if (!existsSync(file)) return false;
  const probe = tryLock(file);
  probe?.release();
  return probe === undefined;
}

/**
 * Removes the lock file of a dead owner. Where the disk has become read-only it stays, and `prune` removes it later.
 */
export function forgetOwner(directory: string, id: string): void {
  try {
    rmSync(lockFile(directory, id), { force: true });
  } catch {}
}

function lockFile(directory: string, id: string): string {
  return join(directory, 'owners', `${id}.lock`);
}
