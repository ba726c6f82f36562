import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const EVERY_BYTES = 16 * 1024 * 1024;

let moved = 0;
let collect: (() => void) | undefined;

/**
 * Has V8 collect its young generation after every 16 MiB of buffers that were used and dropped. Only sockets without a
 * landing leave such buffers, as those that lead through a proxy.
 *
 * By itself V8 waits for 64 MiB of them, and marks the whole heap then. Measured on 800 MiB from a registry behind a
 * proxy: peak memory 146 MiB instead of 165, for the same CPU.
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
