import { TranshipError } from '../model/errors.ts';
import type { Leases } from './ports/leases.ts';

/** A lease that is renewed until it is released. */
export interface HeldLease {
  /**
   * Renews it right before something is written, so that a worker that was paused for too long writes nothing.
   * @throws TranshipError `lease-lost` where another worker may have it
   */
  keep(): Promise<void>;
  release(): Promise<void>;
}

/** It is renewed while the work goes on, so this only has to outlast a pause of the process. */
const LEASE_MS = 60_000;

/** Takes a lease, or undefined while another worker has it. */
export async function holdLease(leases: Leases, key: string, owner: string): Promise<HeldLease | undefined> {
  const lease = await leases.acquireLease(key, owner, LEASE_MS);
  if (lease === undefined) return undefined;
  const renewal = setInterval(() => void leases.renewLease(lease, LEASE_MS).catch(() => {}), LEASE_MS / 3);
  return {
    async keep() {
      if (await leases.renewLease(lease, LEASE_MS)) return;
      throw new TranshipError(`another worker took over ${key}`, { class: 'transient', code: 'lease-lost' });
    },
    async release() {
      clearInterval(renewal);
      await leases.releaseLease(lease);
    },
  };
}
