import { toTranshipError } from '../../core/model/errors.ts';

/** A value asked for as `fresh` is read again only when it is this old: a registry that refuses every login must not become a flood. */
const MIN_AGE_MS = 10_000;

/**
 * A value that costs a call to read, kept until it is due. Callers at the same time share one read. Where reading fails
 * for now, the value from before serves on.
 *
 * @param read gives the value and the epoch ms until which it may be kept
 * @returns a function that gives the value; `fresh` wants it read again
 */
export function kept<T>(
  read: () => Promise<{ value: T; until: number }>,
  now: () => number,
): (fresh: boolean) => Promise<T> {
  let held: { value: T; until: number; readAt: number } | undefined;
  let reading: Promise<T> | undefined;

  async function readAgain(): Promise<T> {
    const readAt = now();
    try {
      held = { ...(await read()), readAt };
    } catch (error) {
      if (!held || toTranshipError(error).class !== 'transient') throw error;
      held = { ...held, readAt, until: readAt + MIN_AGE_MS };
    }
    return held.value;
  }

  return async (fresh) => {
    if (held && (fresh ? now() < held.readAt + MIN_AGE_MS : now() < held.until)) return held.value;
    reading ??= readAgain().finally(() => {
      reading = undefined;
    });
    return reading;
  };
}
