import { formatRepository } from '../../core/model/reference.ts';
import type { Lease, Leases } from '../../core/pipeline/ports/leases.ts';
import type { UploadProgress, UploadProgressStore } from '../../core/pipeline/ports/upload-progress.ts';

export interface ProgressInMemory extends Leases, UploadProgressStore {
  /** By `registry/repository@digest`. */
  uploads: Map<string, UploadProgress>;
  leases: Map<string, Lease>;
  /** Called after each chunk was noted. */
  onSave: (progress: UploadProgress) => void;
}

/** Leases that never end by themselves, and the progress of uploads. */
export function progressInMemory(): ProgressInMemory {
  const uploads = new Map<string, UploadProgress>();
  const leases = new Map<string, Lease>();
  const keyOf = (progress: Pick<UploadProgress, 'destination' | 'digest'>) =>
    `${formatRepository(progress.destination)}@${progress.digest}`;
  const memory: ProgressInMemory = {
    uploads,
    leases,
    onSave: () => {},
    async acquireLease(key, owner) {
      if ((leases.get(key)?.owner ?? owner) !== owner) return undefined;
      leases.set(key, { key, owner, until: Number.POSITIVE_INFINITY });
      return leases.get(key);
    },
    renewLease: async ({ key, owner }) => leases.get(key)?.owner === owner,
    async releaseLease({ key, owner }) {
      if (leases.get(key)?.owner === owner) leases.delete(key);
    },
    async saveUpload(progress) {
      uploads.set(keyOf(progress), progress);
      memory.onSave(progress);
    },
    readUpload: async (destination, digest) => uploads.get(keyOf({ destination, digest })),
    async forgetUpload(destination, digest) {
      uploads.delete(keyOf({ destination, digest }));
    },
  };
  return memory;
}
