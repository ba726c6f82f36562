import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { TranshipError } from '../model/errors.ts';
import { abortedError } from '../registry/abort.ts';
import type { Leases } from './ports/leases.ts';

/** A lease that is renewed until it is released. */
export interface HeldLease {
  /**
   * Makes sure of it right before something is written, and renews it where that was long ago, so that a worker that
   * was paused for too long writes nothing.
   * @throws TranshipError `lease-lost` where another worker may have it
   */
  keep(): Promise<void>;
  /** Never throws: what was done under it is done, and a lease that cannot be given back ends by itself. */
  release(): Promise<void>;
}

/** It is renewed while the work goes on, so this only has to outlast a pause of the process. */
const LEASE_MS = 60_000;
const RENEWED_EVERY_MS = LEASE_MS / 3;

/** Takes a lease, or undefined while another worker has it. */
export async function holdLease(leases: Leases, key: string, owner: string): Promise<HeldLease | undefined> {
  const lease = await leases.acquireLease(key, owner, LEASE_MS);
  if (lease === undefined) return undefined;
  let heldSince = Date.now();
  const renew = async () => {
    const at = Date.now();
    const isHeld = await leases.renewLease(lease, LEASE_MS);
    if (isHeld) heldSince = at;
    return isHeld;
  };
  const renewal = setInterval(() => void renew().catch(() => {}), RENEWED_EVERY_MS);
  return {
    async keep() {
      // Nobody takes it before its end. The age is unknown where the clock was set back.
      const age = Date.now() - heldSince;
      if ((age >= 0 && age <= RENEWED_EVERY_MS) || (await renew())) return;
      throw new TranshipError(`another worker took over ${key}`, { class: 'transient', code: 'lease-lost' });
    },
    async release() {
      clearInterval(renewal);
      await leases.releaseLease(lease).catch(() => {});
    },
  };
}

/** Work of this kind is a few requests: who waits longer comes back later. */
const LONGEST_TURN_WAIT_MS = 30_000;

/**
 * Runs short work while nobody else, here or elsewhere, runs work of that key. Waits for its turn.
 * @throws TranshipError `lease-held` where the turn does not come; what the work throws
 */
export async function inTurn(
  leases: Leases,
  key: string,
  { signal }: { signal: AbortSignal },
  work: () => Promise<void>,
): Promise<void> {
  // An owner gets its own lease again; here each turn is another's.
  const owner = randomUUID();
  for (let pauseMs = 25; ; pauseMs *= 2) {
    const lease = await holdLease(leases, key, owner);
    if (lease !== undefined) return await work().finally(() => lease.release());
    if (pauseMs > LONGEST_TURN_WAIT_MS) break;
    await sleep(pauseMs, undefined, { signal }).catch(() => {
      throw abortedError(signal);
    });
  }
  throw new TranshipError(`another worker writes ${key}`, { class: 'transient', code: 'lease-held' });
}
