import { setTimeout as sleep } from 'node:timers/promises';
import { toTranshipError } from './errors.ts';

/** A store is read at most this often: a registry that refuses every login must not become a flood of reads. */
const MIN_INTERVAL_MS = 3_000;

/** The clock of a kept value; `wait` is `setTimeout` unless a test has its own. */
export interface Clock {
  now: () => number;
  wait?: (ms: number) => Promise<unknown>;
}

/**
 * Keeps a value that costs a call to read, until it is due. Callers at the same time share one read.
 *
 * `fresh` asks for a value that was not read before the call: it joins a read that is under way, or starts one. A store
 * that was just read is read again after 3 s, and the caller waits for that; it never gets the value that it has
 * already. When a read fails with a transient error, callers that did not ask for `fresh` get the value from before.
 *
 * @param read gives the value, and the epoch ms until which it may be kept
 */
export function kept<T>(
  read: () => Promise<{ value: T; until: number }>,
  clock: Clock = { now: Date.now },
): (fresh: boolean) => Promise<T> {
  const { now, wait = sleep } = clock;
  let held: { value: T; until: number } | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<T> | undefined;

  async function readAgain(): Promise<T> {
    const waitMs = readAt + MIN_INTERVAL_MS - now();
    if (waitMs > 0) await wait(waitMs);
    readAt = now();
    held = await read();
    return held.value;
  }

  return async (fresh) => {
    if (!fresh && held && now() < held.until) return held.value;
    reading ??= readAgain().finally(() => {
      reading = undefined;
    });
    try {
      return await reading;
    } catch (error) {
      if (fresh || !held || toTranshipError(error).class !== 'transient') throw error;
      held = { ...held, until: now() + MIN_INTERVAL_MS };
      return held.value;
    }
  };
}
