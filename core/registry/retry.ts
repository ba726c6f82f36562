import { setTimeout as sleep } from 'node:timers/promises';
import { rephrase, type TranshipError, toTranshipError } from '../model/errors.ts';
import { abortedError } from './abort.ts';

/** Waits grow from `baseMs`, doubling, up to `capMs`; each is a random part of that ("full jitter"). */
export interface RetryPolicy {
  /** All tries, the first included. */
  attempts: number;
  baseMs: number;
  capMs: number;
}

/** For calls to a registry, and for a blob as a whole. */
export const defaultRetry: RetryPolicy = { attempts: 4, baseMs: 500, capMs: 15_000 };

/** How long a registry is left alone whose 429 names no time, after the tries are used up. */
const DEFAULT_THROTTLE_MS = 60_000;

export interface RetryOptions {
  signal?: AbortSignal;
  /** A throttling that ends within this time is waited out. Default 0. */
  maxThrottleWaitMs?: number;
}

/**
 * Runs `step` until it succeeds, for errors of class `transient`, and `throttled` ones with a short wait or none given.
 * Nothing that `step` calls may retry by itself.
 *
 * @param step told which try it is, from 1
 * @throws TranshipError the last failure as it was; `throttled` always with `retryAt`; `aborted` when the signal fires
 */
export async function retry<T>(
  policy: RetryPolicy,
  options: RetryOptions | AbortSignal | undefined,
  step: (attempt: number) => Promise<T>,
): Promise<T> {
  const { signal, maxThrottleWaitMs = 0 } = options instanceof AbortSignal ? { signal: options } : (options ?? {});
  for (let attempt = 1; ; attempt += 1) {
    if (signal?.aborted) throw abortedError(signal);
    try {
      return await step(attempt);
    } catch (thrown) {
      const error = toTranshipError(thrown);
      const waitMs = attempt < policy.attempts ? waitBefore(error, attempt, policy, maxThrottleWaitMs) : undefined;
      if (waitMs === undefined) throw withRetryAt(error);
      await sleep(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => {
        throw abortedError(signal);
      });
    }
  }
}

/** Milliseconds to wait before the next try; undefined where there is none. */
function waitBefore(
  error: TranshipError,
  attempt: number,
  policy: RetryPolicy,
  maxThrottleWaitMs: number,
): number | undefined {
  if (!isWorthRetrying(error, maxThrottleWaitMs)) return undefined;
  const backoffMs = Math.random() * Math.min(policy.capMs, policy.baseMs * 2 ** (attempt - 1));
  if (error.class === 'transient' || error.retryAt === undefined) return backoffMs;
  return Math.max(0, error.retryAt - Date.now()) + Math.min(backoffMs, policy.baseMs);
}

/** Failures of what was tried often enough, by this caller or by others. */
const exhausted = new WeakSet<TranshipError>();

/** Has no caller retry what failed so. */
export function noteExhausted(error: TranshipError): void {
  exhausted.add(error);
}

/** As {@link retry}, for work that its callers share: none of them retries what it fails with. */
export async function retryShared<T>(
  policy: RetryPolicy,
  options: RetryOptions,
  step: (attempt: number) => Promise<T>,
): Promise<T> {
  try {
    return await retry(policy, options, step);
  } catch (thrown) {
    const error = toTranshipError(thrown);
    noteExhausted(error);
    throw error;
  }
}

/**
 * Whether the same step may succeed soon: after a transient error, or a throttling that ends within
 * `maxThrottleWaitMs`.
 */
export function isWorthRetrying(error: TranshipError, maxThrottleWaitMs: number): boolean {
  // A missing blob is `transient` for the copy, which can bring it; the same request again would find it missing again.
  if (error.code === 'aborted' || error.code === 'blob-unknown' || exhausted.has(error)) return false;
  if (error.class !== 'throttled') return error.class === 'transient';
  return error.retryAt === undefined || error.retryAt - Date.now() <= maxThrottleWaitMs;
}

/** The error; a throttling that names no time gets one, {@link DEFAULT_THROTTLE_MS} from now. */
export function withRetryAt(error: TranshipError): TranshipError {
  if (error.class !== 'throttled' || error.retryAt !== undefined) return error;
  return rephrase(error, { retryAt: Date.now() + DEFAULT_THROTTLE_MS });
}
