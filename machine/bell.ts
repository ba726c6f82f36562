/** Tells whoever waits that something has changed, any number of times. */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring. */
  heard(): Promise<void>;
}

export function createBell(): Bell {
  let resolve = (): void => {};
  let next: Promise<void>;
  const renew = (): void => {
    next = new Promise((resolveNext) => {
      resolve = resolveNext;
    });
  };
  renew();
  return {
    ring() {
      resolve();
      renew();
    },
    heard: () => next,
  };
}
