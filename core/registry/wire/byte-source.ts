/** Bytes that come in parts: a response's body, or a request's. They wait until somebody takes them. */
export interface ByteSource {
  /** Begins the flow, once. What has come already is handed over before this returns. */
  flow(taker: ByteTaker): void;
  /** Ends it early, or before it began. The taker is not called any more. */
  cancel(reason?: Error): void;
  /** Its end is the end of its connection: a peer that keeps that open never ends it. */
  readonly endsWithConnection?: boolean;
}

/** Whoever takes the bytes of a source. After `end` or `fail` nothing follows. */
export interface ByteTaker {
  /**
   * Takes the next bytes. They are valid until `done` is called, which must happen once and may at once. A source stops
   * while too many bytes are not done; for one part that is held back it does not.
   */
  take(bytes: Buffer, done: () => void): void;
  end(): void;
  fail(error: Error): void;
}

/** A source that is filled by hand. */
export interface BytePipe {
  source: ByteSource;
  put(bytes: Buffer, done: () => void): void;
  end(): void;
  fail(error: Error): void;
}

export const noBytes: ByteSource = { flow: (taker) => taker.end(), cancel: () => {} };

/**
 * @param onCancel called when the source is cancelled before it has ended
 */
export function createBytePipe(onCancel?: (reason: Error | undefined) => void): BytePipe {
  let taker: ByteTaker | undefined;
  let isOver = false;
  let waiting: Array<{ bytes: Buffer; done: () => void }> = [];
  /** How it ended, while nobody has taken what is waiting. */
  let ending: { error: Error | undefined } | undefined;

  function close(error: Error | undefined): void {
    if (isOver || ending !== undefined) return;
    if (taker === undefined) {
      ending = { error };
      return;
    }
    isOver = true;
    if (error === undefined) taker.end();
    else taker.fail(error);
  }

  return {
    put(bytes, done) {
      if (isOver || ending !== undefined) done();
      else if (taker === undefined) waiting.push({ bytes, done });
      else taker.take(bytes, done);
    },
    end: () => close(undefined),
    fail: close,
    source: {
      flow(given) {
        if (taker !== undefined || isOver) throw new Error('the bytes of a source are taken once');
        taker = given;
        const parts = waiting;
        waiting = [];
        for (const { bytes, done } of parts) {
          // The taker may cancel in between.
          if (isOver) done();
          else taker.take(bytes, done);
        }
        const ended = ending;
        ending = undefined;
        if (ended !== undefined) close(ended.error);
      },
      cancel(reason) {
        if (isOver) return;
        const hasEnded = ending !== undefined;
        isOver = true;
        const dropped = waiting;
        waiting = [];
        for (const { done } of dropped) done();
        if (!hasEnded) onCancel?.(reason);
      },
    },
  };
}
