/** Does work as soon as one of a number of slots is free, in the order of the calls. */
export type Slots = <T>(work: () => Promise<T>) => Promise<T>;

/** Work is begun at once where a slot is free. */
export function createSlots(count: number): Slots {
  let free = count;
  const waiting: Array<() => void> = [];
  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((come) => waiting.push(come));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      // It takes over this slot.
      if (next === undefined) free += 1;
      else next();
    }
  };
}
