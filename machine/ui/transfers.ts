import { formatRepository } from '../../core/model/reference.ts';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { TransferView } from '../../core/status/view.ts';

export interface Transfers {
  /** Watches the events of one machine and passes them on. */
  watch(next: Emit): Emit;
  list(): TransferView[];
}

/** The blobs that are on their way in this process. */
export function createTransfers(now: () => number): Transfers {
  const machines: Array<Map<number, TransferView>> = [];
  return {
    watch(next) {
      // Blobs are numbered by each machine for itself.
      const blobs = new Map<number, TransferView>();
      machines.push(blobs);
      return (event) => {
        if (event.type === 'blob-started') {
          const { id, digest, size } = event;
          const destinations = event.destinations.map(formatRepository);
          const source = formatRepository(event.source);
          blobs.set(id, { digest, size, source, destinations, bytes: 0, startedAt: now() });
        } else if (event.type === 'blob-progress') {
          const blob = blobs.get(event.id);
          if (blob !== undefined) blob.bytes = event.bytes;
        } else if (event.type === 'blob-finished') blobs.delete(event.id);
        next(event);
      };
    },
    list: () => machines.flatMap((blobs) => [...blobs.values()]),
  };
}
