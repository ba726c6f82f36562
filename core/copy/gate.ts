/** Lets urgent copies go first: while one is at work, the gate is shut and the streams of other copies pause. */
export interface Gate {
  isShut(): boolean;
  /** Calls back each time it opens. @returns how to stop that */
  onOpen(callback: () => void): () => void;
  /** Calls back each time it shuts. @returns how to stop that */
  onShut(callback: () => void): () => void;
  /** Shuts it for an urgent copy. @returns call it when the copy has ended */
  shut(): () => void;
}

/** Waits while the gate is shut, a second at most. */
export function whenOpen(gate: Pick<Gate, 'isShut' | 'onOpen'> | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (gate?.isShut() !== true) return resolve();
    const stop = gate.onOpen(() => {
      stop();
      resolve();
    });
  });
}

/** At a stretch. Other copies lose half of their pace at worst, however many copies are urgent. */
const LONGEST_SHUT_MS = 1_000;
/** A shorter pause would help no urgent copy. */
const SHORTEST_SHUT_MS = 50;

/** A gate that is shut while any urgent copy is at work, but never for longer than it was open before. */
export function createGate(now: () => number = () => performance.now()): Gate {
  const onOpen = new Set<() => void>();
  const onShut = new Set<() => void>();
  let urgent = 0;
  let isShut = false;
  let changedAt = now();
  /** For how long it may be shut. Grows while it is open, shrinks while it is shut. */
  let creditMs = LONGEST_SHUT_MS;
  let timer: NodeJS.Timeout | undefined;

  function turn(shut: boolean): void {
    const passedMs = now() - changedAt;
    creditMs = Math.max(0, Math.min(LONGEST_SHUT_MS, creditMs + (isShut ? -passedMs : passedMs)));
    changedAt += passedMs;
    clearTimeout(timer);
    const wasShut = isShut;
    isShut = shut && creditMs >= SHORTEST_SHUT_MS;
    // A copy that is still urgent when the gate has to open shuts it again after it was open for long enough.
    if (urgent > 0) timer = setTimeout(turn, isShut ? creditMs : LONGEST_SHUT_MS, !isShut).unref();
    if (wasShut !== isShut) for (const callback of isShut ? onShut : onOpen) callback();
  }

  return {
    isShut: () => isShut,
    onOpen: (callback) => listen(onOpen, callback),
    onShut: (callback) => listen(onShut, callback),
    shut() {
      urgent += 1;
      if (!isShut) turn(true);
      let isEnded = false;
      return () => {
        if (isEnded) return;
        isEnded = true;
        urgent -= 1;
        if (urgent === 0) turn(false);
      };
    },
  };
}

/** Keeps a callback. @returns how to drop it */
export function listen(callbacks: Set<() => void>, callback: () => void): () => void {
  callbacks.add(callback);
  return () => callbacks.delete(callback);
}
