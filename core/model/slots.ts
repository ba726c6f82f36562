import { createWaiters } from './waiters.ts';

/** Does work as soon as enough of a number of slots are free, in the order of the calls. */
export interface Slots {
  /** @param taken how many slots the work takes; at most all there are. Default 1 */
  <T>(work: () => Promise<T>, taken?: number): Promise<T>;
  /** How many there are. */
  readonly count: number;
}

/** Work is begun at once where slots are free. */
export function createSlots(count: number): Slots {
  let free = count;
  const waiters = createWaiters();

  async function inSlots<T>(work: () => Promise<T>, taken = 1): Promise<T> {
    const weight = Math.min(taken, count);
    if (waiters.isEmpty() && free >= weight) free -= weight;
    else await waiters.wait(weight);
    try {
      return await work();
    } finally {
      free += weight;
      for (let next = waiters.callNext(free); next > 0; next = waiters.callNext(free)) free -= next;
    }
  }

  return Object.assign(inSlots, { count });
}
