import type { Failure } from '../model/errors.ts';

/**
 * How often the pipeline tries before it gives up, and how long it waits in between. One file to change all of that.
 */
export interface TryPolicy {
  /** Tries of a task, or of the planning of a rule, the first included. */
  tries: number;
  /** What a failed one waits for. */
  pause: Pause;
  /**
   * A registry that throttles is waited for so long: at a stretch, and altogether with no tag done in between.
   * Milliseconds.
   */
  patienceMs: number;
  /** What waits for one registry comes back spread over this time, so that it does not all come in the first second. */
  spreadMs: number;
  /**
   * What is past the budget of its rule waits within `patienceMs`. Where it does not, it is deferred: the next run comes
   * anyway, and nobody is to wait hours for this one.
   */
  waitsForBudget: boolean;
  /** When to look again at a destination that another worker is writing. */
  busyMs: number;
  /**
   * A login that was refused is tried again like a failure for the moment. A rotated password reaches the store of
   * logins some time after the registry; nobody waits here, so the task can. Where somebody waits, a wrong password is
   * better told at once.
   */
  retriesLogins: boolean;
}

/**
 * So many workers in a row whose time was over in the middle of a blob, with nothing kept of it, show that it takes longer
 * than such a worker has. The first may have met a slow hour.
 */
export const MOST_CUT_OFFS = 2;

/**
 * `next-round`: until everything else of the run had its try; good where somebody waits for the end of the run.
 * `backoff`: a time that doubles with each try, up to `capMs`.
 */
export type Pause = { kind: 'next-round' } | { kind: 'backoff'; baseMs: number; capMs: number };

/** When a message is to be worked on. */
export type Delay = { kind: 'next-round' } | { kind: 'after'; ms: number };

/** Whether the same thing may work when it is tried again. */
export function mayWorkLater(failure: Pick<Failure, 'class' | 'code'>, { retriesLogins }: TryPolicy): boolean {
  return failure.class === 'transient' || (retriesLogins && failure.code === 'unauthorized');
}

/** Gives a number from 0 to 1, as `Math.random` does. */
export type Random = () => number;

/** The delay after the try of this number, from 0. */
export function delayAfter(pause: Pause, attempt: number, random: Random = Math.random): Delay {
  return pause.kind === 'next-round' ? pause : { kind: 'after', ms: backoffAfter(pause, attempt, random) };
}

/**
 * The wait after the try of this number, from 0, in ms: doubled each time up to `capMs`, of which a random part of up
 * to half is left out.
 */
export function backoffAfter(
  { baseMs, capMs }: { baseMs: number; capMs: number },
  attempt: number,
  random: Random = Math.random,
): number {
  return Math.min(baseMs * 2 ** Math.min(attempt, 30), capMs) * (0.5 + random() / 2);
}

/**
 * A run that somebody waits for, on one machine.
 * @param retries tries after the first
 */
export function runPolicy({ retries, maxWaitMs }: { retries: number; maxWaitMs: number }): TryPolicy {
  return {
    tries: retries + 1,
    pause: { kind: 'next-round' },
    patienceMs: maxWaitMs,
    waitsForBudget: false,
    spreadMs: 0,
    busyMs: 1_000,
    retriesLogins: false,
  };
}

/** Work that is added to all the time, as `tranship serve` does: a next round might never come. */
export function servicePolicy(limits: { retries: number; maxWaitMs: number }): TryPolicy {
  return { ...runPolicy(limits), pause: { kind: 'backoff', baseMs: 1_000, capMs: 60_000 }, retriesLogins: true };
}

/**
 * Work on AWS, where nobody waits.
 * @param backoffMs wait before the second try
 */
export function cloudPolicy({ tries, backoffMs }: { tries: number; backoffMs: number }): TryPolicy {
  return {
    tries,
    pause: { kind: 'backoff', baseMs: backoffMs, capMs: 15 * 60_000 },
    patienceMs: 24 * 3_600_000,
    waitsForBudget: true,
    spreadMs: backoffMs,
    busyMs: Math.min(20_000, backoffMs),
    retriesLogins: true,
  };
}
