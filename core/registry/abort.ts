import { TranshipError } from '../model/errors.ts';

/** The error of an aborted signal: its reason, where that is a {@link TranshipError}, else `aborted`. */
export function abortedError(signal: AbortSignal | undefined): TranshipError {
  if (signal?.reason instanceof TranshipError) return signal.reason;
  return new TranshipError('stopped before it was finished', { class: 'transient', code: 'aborted' });
}

/** Waits for work that several callers share. An abort ends the waiting, not the work. */
export async function waitFor<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  if (signal.aborted) throw abortedError(signal);
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(abortedError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
