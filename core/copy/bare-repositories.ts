import { LRUCache } from 'lru-cache';
import type { Repository } from '../model/reference.ts';
import { createSlots, type Slots } from '../model/slots.ts';

/** Repositories without tags. They may have blobs all the same, which a run that was killed has left there. */
export interface BareRepositories {
  /**
   * Asks one for a blob that costs little to bring again: not any more once it had none of the first ones.
   * @param ask tells whether it has the blob
   */
  hasBlob(at: Repository, ask: () => Promise<boolean>): Promise<boolean>;
}

/** A run that was killed had begun with the blobs that the next run begins with. */
const FIRST_ONES = 16;
const MAX_REPOSITORIES = 1000;

export function createBareRepositories(): BareRepositories {
  /** `denied` is infinitely small once a blob was there. */
  const known = new LRUCache<string, { denied: number; slots: Slots }>({ max: MAX_REPOSITORIES });
  return {
    hasBlob({ registry, repository }, ask) {
      const key = `${registry}/${repository}`;
      const about = known.get(key) ?? { denied: 0, slots: createSlots(FIRST_ONES) };
      known.set(key, about);
      return about.slots(async () => {
        if (about.denied >= FIRST_ONES) return false;
        const isThere = await ask();
        about.denied = isThere ? -Infinity : about.denied + 1;
        return isThere;
      });
    },
  };
}
