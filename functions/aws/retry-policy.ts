import { readNumber } from './environment.ts';

/** How often the pipeline tries before it gives up, and how long it waits in between. */
export interface RetryPolicy {
  /** Tries of a message until it becomes a dead letter, or fails. */
  attempts: number;
  /** Wait before the second try. */
  backoffMs: number;
  /** How often a dead letter is tried again. */
  redrives: number;
}

const LONGEST_BACKOFF_MS = 15 * 60_000;
const LONGEST_REDRIVE_MS = 6 * 3_600_000;

export function readRetryPolicy(): RetryPolicy {
  return {
    attempts: readNumber('TRANSHIP_ATTEMPTS', 5),
    backoffMs: readNumber('TRANSHIP_BACKOFF_SECONDS', 30) * 1000,
    redrives: readNumber('TRANSHIP_REDRIVES', 3),
  };
}

/** Wait after the try of this number (from 0): doubled each time, up to 15 minutes, and jittered by half. */
export function backoffAfter({ backoffMs }: RetryPolicy, attempt: number): number {
  return Math.min(backoffMs * 2 ** Math.min(attempt, 20), LONGEST_BACKOFF_MS) * (0.5 + Math.random() / 2);
}

/** Wait of a dead letter that was tried again so often: four times as long each time, up to 6 hours. */
export function redriveDelay({ backoffMs }: RetryPolicy, redriven: number): number {
  return Math.min(backoffMs * 4 ** Math.min(redriven, 10), LONGEST_REDRIVE_MS);
}
