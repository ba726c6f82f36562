import type { Failure } from '../../core/model/errors.ts';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';

/** For a registry that gives no time. */
const PARK_MS = 60_000;
/** No registry renews its quota less than once a day, so a header that says more is not believed. */
const LONGEST_PARK_MS = 24 * 3_600_000;

/**
 * Makes every worker leave the registry alone for as long as it asked.
 * @returns until when, epoch ms
 */
export async function parkRegistry(
  { ledger, emit, now }: { ledger: Ledger; emit: Emit; now: () => number },
  { registry, retryAt, message }: Failure,
): Promise<number> {
  const until = Math.min(retryAt ?? now() + PARK_MS, now() + LONGEST_PARK_MS);
  if (registry !== undefined) {
    await ledger.park(registry, until, message);
    emit({ type: 'parked', registry, until, reason: message });
  }
  return until;
}
