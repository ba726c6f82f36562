import type { TranshipError } from '../../model/errors.ts';
import { noteExhausted } from '../retry.ts';
import type { Endpoint } from '../state.ts';

/** So long a registry that was reached before may give no response: one that is started again takes less. */
const PATIENCE_MS = 60_000;

/**
 * Notes that a request to a registry got no response. Once none got one for a minute, the call that fails is not tried
 * again by itself: each of thousands of tags would try four times. The rounds of a run still try them. A minute without
 * a request says nothing, and begins anew.
 */
export function noteNoResponse(endpoint: Endpoint, error: TranshipError): void {
  if (error.code === 'aborted') return;
  const now = performance.now();
  const before = endpoint.noResponse;
  const since = before !== undefined && now - before.last < PATIENCE_MS ? before.since : now;
  endpoint.noResponse = { since, last: now };
  if (now - since >= PATIENCE_MS) noteExhausted(error);
}
