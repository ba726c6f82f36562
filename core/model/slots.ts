import { createWaiters } from './waiters.ts';

/** Does work as soon as one of a number of slots is free, in the order of the calls. */
export type Slots = <T>(work: () => Promise<T>) => Promise<T>;

/** Work is begun at once where a slot is free. */
export function createSlots(count: number): Slots {
  let free = count;
  const waiters = createWaiters();
  return async (work) => {
    if (free > 0) free -= 1;
    else await waiters.wait();
    try {
      return await work();
    } finally {
      // Whoever waits takes over this slot.
      if (!waiters.callNext()) free += 1;
    }
  };
}
