import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const EVERY_BYTES = 16 * 1024 * 1024;

let moved = 0;
let collect: (() => void) | undefined;

/**
 * Has V8 collect its young generation after every 16 MiB of buffers that were used and dropped.
 *
 * By itself V8 marks the whole heap, on other threads, after every 64 MiB of buffers: 27 times for a GiB. Instead, 68
 * collections of the young generation take a quarter of a millisecond each. Measured on a GiB in 32 blobs: CPU 2.4 s
 * instead of 2.7, peak memory 139 MiB instead of 185.
 *
 * @param bytes length of the buffers that were dropped since the last call
 */
export function noteGarbage(bytes: number): void {
  moved += bytes;
  if (moved < EVERY_BYTES) return;
  moved = 0;
  collect ??= youngCollector();
  collect();
}

/** The flag is taken back at once: V8 refuses a compile cache that was written under other flags. */
function youngCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const gc: (options: { type: 'minor' }) => void = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  return () => gc({ type: 'minor' });
}
