/** Does work as soon as one of a number of slots is free, in the order of the calls. */
export type Slots = <T>(work: () => Promise<T>) => Promise<T>;

/** To take one by one out of a long array would move all of it each time. */
const FORGOTTEN_AT_ONCE = 1024;

/** Work is begun at once where a slot is free. */
export function createSlots(count: number): Slots {
  let free = count;
  const waiting: Array<() => void> = [];
  /** The first that waits; those before it have gone. */
  let first = 0;

  function leave(): void {
    const next = waiting[first];
    first += 1;
    if (next === undefined || first === FORGOTTEN_AT_ONCE) {
      waiting.splice(0, first);
      first = 0;
    }
    // It takes over this slot.
    if (next === undefined) free += 1;
    else next();
  }

  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((come) => waiting.push(come));
    try {
      return await work();
    } finally {
      leave();
    }
  };
}
