import type { TranshipError } from '../model/errors.ts';
import { type Call, patienceMs } from './call.ts';
import { noteExhausted } from './retry.ts';
import { codeOf } from './wire/error-code.ts';
import type { WireRequest } from './wire/exchange.ts';
import { isRead } from './wire/follow.ts';

/** A read that got no answer in time is asked with more patience for so long. */
export const UNANSWERED_MS = 3_600_000;

/**
 * Time for the head of the response to come. A first try gets what the client gives every request, so that a registry that
 * is down is found out soon. One that gave no answer in that time may still be at work: a cache that fetches a blob
 * as a whole before it sends the first byte (goharbor/harbor#18294, containerd/containerd#13682).
 */
export function responseTimeoutOf(
  call: Call,
  { method, responseTimeoutMs }: Pick<WireRequest, 'method' | 'responseTimeoutMs'>,
): number | undefined {
  const { unanswered } = call.client;
  if (responseTimeoutMs !== undefined || unanswered.size === 0 || !isRead({ method })) return responseTimeoutMs;
  return unanswered.has(keyOf(call)) ? patienceMs(call) : undefined;
}

/** Notes why a request failed. One that had patience and got no answer is not tried again by its caller. */
export function noteUnanswered(
  call: Call,
  { method, responseTimeoutMs }: Pick<WireRequest, 'method' | 'responseTimeoutMs'>,
  error: TranshipError,
): void {
  if (responseTimeoutMs !== undefined || !isRead({ method }) || codeOf(error.cause) !== 'HEAD_TIMEOUT') return;
  const { unanswered } = call.client;
  const key = keyOf(call);
  if (unanswered.has(key)) noteExhausted(error);
  unanswered.set(key, true);
}

function keyOf({ operation, subject }: Call): string {
  return `${operation} ${subject}`;
}
