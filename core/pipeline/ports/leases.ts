/** The short right of one worker to write one destination. Ends by itself when it is not renewed. */
export interface Lease {
  key: string;
  owner: string;
  /** Epoch ms. */
  until: number;
}

/** Who writes what now. */
export interface Leases {
  /** The lease, or undefined while another owner holds it. Taking one's own again renews it. */
  acquireLease(key: string, owner: string, ttlMs: number): Promise<Lease | undefined>;
  /** False where the lease was lost: stop writing. */
  renewLease(lease: Lease, ttlMs: number): Promise<boolean>;
  releaseLease(lease: Lease): Promise<void>;
}
