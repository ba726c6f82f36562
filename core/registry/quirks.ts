import { LRUCache } from 'lru-cache';
import type { RegistryClient } from './state.ts';

/** What a registry has shown that it cannot do. Learned from its responses, and known as long as the client lives. */
export interface Quirks {
  /** PATCH was refused: a blob goes into the body of the PUT. */
  needsMonolithicPut: boolean;
  /** A PATCH was redirected: where it leads is found out before a body is streamed. */
  redirectsPatch: boolean;
  /**
   * Repositories that a mount was refused from. Asked again after a day, since a right may be granted (ECR: a setting).
   */
  readonly refusedMounts: LRUCache<string, true>;
}

const MAX_REFUSED_MOUNTS = 1000;
const MOUNT_REFUSED_FOR_MS = 24 * 3_600_000;

/** The quirks of a registry, to be read and written. */
export function quirksOf(client: RegistryClient, registry: string): Quirks {
  let quirks = client.quirks.get(registry);
  if (quirks === undefined) {
    const refusedMounts = new LRUCache<string, true>({ max: MAX_REFUSED_MOUNTS, ttl: MOUNT_REFUSED_FOR_MS });
    quirks = { needsMonolithicPut: false, redirectsPatch: false, refusedMounts };
    client.quirks.set(registry, quirks);
  }
  return quirks;
}
