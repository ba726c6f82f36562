/** Work that is done in the transaction of a batch. */
interface Pending {
  work: () => unknown;
  durable: boolean;
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

export interface Batch {
  /**
   * Does `work` in a transaction with what others ask for within a few milliseconds, in the order of the calls. Rejects
   * with what `work` throws, or why the transaction failed.
   */
  add<T>(work: () => T, options?: { durable?: boolean }): Promise<T>;
  /** Does now what waits. */
  flush(): void;
}

/** A transaction costs as much as ten statements; while there is much to do, one begins so often. */
const EVERY_MS = 25;
/** The same after one that held a single piece of work: to wait longer would gain little. */
const EVERY_MS_ALONE = 8;
/** So many begin at once after a pause: who is alone, with one task after the other, waits for nobody. */
const AT_ONCE = 4;

/** @param transaction does all of `work` or nothing of it */
export function createBatch(
  transaction: <T>(work: () => T, options: { durable: boolean }) => T,
  now: () => number = () => performance.now(),
): Batch {
  let pending: Pending[] = [];
  /** From when on the next may begin. */
  let nextAt = Number.NEGATIVE_INFINITY;

  function flush(): void {
    const taken = pending;
    if (taken.length === 0) return;
    pending = [];
    const everyMs = taken.length === 1 ? EVERY_MS_ALONE : EVERY_MS;
    nextAt = Math.max(nextAt, now() - everyMs * (AT_ONCE - 1)) + everyMs;
    let isBegun = false;
    try {
      const doAll = () => {
        isBegun = true;
        return taken.map(({ work }) => work());
      };
      const results = transaction(doAll, { durable: taken.some(({ durable }) => durable) });
      for (const [position, { resolve }] of taken.entries()) resolve(results[position]);
    } catch (error) {
      // One that fails takes nothing of the others with it.
      if (isBegun && taken.length > 1) for (const one of taken) alone(one);
      else for (const { reject } of taken) reject(error);
    }
  }

  function alone({ work, durable, resolve, reject }: Pending): void {
    try {
      resolve(transaction(work, { durable }));
    } catch (error) {
      reject(error);
    }
  }

  return {
    add<T>(work: () => T, { durable = false } = {}) {
      if (pending.length === 0) {
        const waitMs = nextAt - now();
        if (waitMs > 0) setTimeout(flush, waitMs);
        else setImmediate(flush);
      }
      return new Promise<T>((resolve, reject) => {
        pending.push({ work, durable, resolve: (result) => resolve(result as T), reject });
      });
    },
    flush,
  };
}
