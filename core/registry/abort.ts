import { TranshipError } from '../model/errors.ts';

/** The error of an aborted signal: its reason, where that is a {@link TranshipError}, else `aborted`. */
export function abortedError(signal: AbortSignal | undefined): TranshipError {
  if (signal?.reason instanceof TranshipError) return signal.reason;
  return new TranshipError('stopped before it was finished', { class: 'transient', code: 'aborted' });
}

/** What is to be called when a signal aborts. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back once when the signal aborts. As `addEventListener`, but with one listener for all, which stays: each request
 * of a run waits for the same signal, and to add and remove a listener costs as much as a tenth of a request. A signal
 * that has aborted before calls nobody back.
 *
 * @returns stops waiting
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let callbacks = waiting.get(signal);
  if (callbacks === undefined) {
    const all = new Set<() => void>();
    signal.addEventListener('abort', () => {
      for (const one of all) {
        all.delete(one);
        one();
      }
    });
    waiting.set(signal, all);
    callbacks = all;
  }
  const all = callbacks;
  all.add(callback);
  return () => all.delete(callback);
}

/** Waits for work that several callers share. An abort ends the waiting, not the work. */
export async function waitFor<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  if (signal.aborted) throw abortedError(signal);
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = onAbort(signal, () => reject(abortedError(signal)));
  try {
    return await Promise.race([work, promise]);
  } finally {
    stop();
  }
}
