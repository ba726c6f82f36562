/** Callers that wait for their turn, in order. */
export interface Waiters {
  /**
   * Waits until {@link callNext} has come to this caller.
   * @param weight what it needs. Default 1
   */
  wait(weight?: number): Promise<void>;
  /**
   * Lets the first one go on, where it needs no more than `most`. Nobody overtakes it.
   * @returns its weight; 0 where nobody goes on
   */
  callNext(most?: number): number;
  isEmpty(): boolean;
}

/** To take one by one out of a long array would move all of it each time. */
const FORGOTTEN_AT_ONCE = 1024;

export function createWaiters(): Waiters {
  const waiting: Array<{ weight: number; goOn: () => void }> = [];
  /** The first that waits; those before it have gone. */
  let first = 0;
  return {
    wait: (weight = 1) => new Promise((goOn) => waiting.push({ weight, goOn })),
    callNext(most = Number.POSITIVE_INFINITY) {
      const next = waiting[first];
      if (next === undefined || next.weight > most) return 0;
      first += 1;
      if (first === waiting.length || first === FORGOTTEN_AT_ONCE) {
        waiting.splice(0, first);
        first = 0;
      }
      next.goOn();
      return next.weight;
    },
    isEmpty: () => waiting.length === 0,
  };
}
