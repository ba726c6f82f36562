/** Callers that wait for their turn, in order. */
export interface Waiters {
  /** Waits until {@link callNext} has come to this caller. */
  wait(): Promise<void>;
  /** Lets the first one go on. @returns false where nobody waits */
  callNext(): boolean;
  isEmpty(): boolean;
}

/** To take one by one out of a long array would move all of it each time. */
const FORGOTTEN_AT_ONCE = 1024;

export function createWaiters(): Waiters {
  const waiting: Array<() => void> = [];
  /** The first that waits; those before it have gone. */
  let first = 0;
  return {
    wait: () => new Promise((goOn) => waiting.push(goOn)),
    callNext() {
      const goOn = waiting[first];
      if (goOn === undefined) return false;
      first += 1;
      if (first === waiting.length || first === FORGOTTEN_AT_ONCE) {
        waiting.splice(0, first);
        first = 0;
      }
      goOn();
      return true;
    },
    isEmpty: () => waiting.length === 0,
  };
}
