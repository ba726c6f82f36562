/** The right to do something, or the end of what is in its way. */
export type Claim = { kind: 'taken'; release: () => void } | { kind: 'busy'; ended: Promise<void> };

/** Which work of this process is under way, so that nobody does it twice at a time. */
export interface Claims {
  /**
   * Takes all of these keys, or none: whoever waits for one of them holds none of the others, so that no two wait for
   * each other. A claim that was taken is to be released when the work has ended, well or not.
   */
  take(keys: string[]): Claim;
}

export function createClaims(): Claims {
  const taken = new Map<string, Promise<void>>();
  return {
    take(keys) {
      for (const key of keys) {
        const ended = taken.get(key);
        if (ended !== undefined) return { kind: 'busy', ended };
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      for (const key of keys) taken.set(key, promise);
      return {
        kind: 'taken',
        release() {
          for (const key of keys) taken.delete(key);
          resolve();
        },
      };
    },
  };
}
