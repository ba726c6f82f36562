import * as v from 'valibot';
import { type Digest, formatRepository, type Repository } from '../../core/model/reference.ts';
import { UPLOAD_KEPT_MS, type UploadProgressStore } from '../../core/pipeline/ports/upload-progress.ts';
import { decode, expiryAfter } from './items.ts';
import { deleteItem, getItem, putItem, type Table } from './table.ts';

const KEEP_DAYS = UPLOAD_KEPT_MS / (24 * 3_600_000);

const byteCount = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const uploadItem = v.object({
  location: v.string(),
  offset: byteCount,
  hashState: v.instance(Uint8Array),
  leastChunkBytes: v.optional(byteCount),
  at: v.number(),
});

/** How far uploads of large blobs have come. */
export function uploadLedger(table: Table, now: () => number): UploadProgressStore {
  return {
    /** 1 WCU, a second one where the location is longer than some 700 characters. */
    async saveUpload({ destination, digest, ...progress }) {
      const expiresAt = expiryAfter(progress.at, KEEP_DAYS);
      await putItem(table, { ...keyOf(destination, digest), ...progress, expiresAt });
    },

    /** 1 RCU. */
    async readUpload(destination, digest) {
      const item = await getItem(table, keyOf(destination, digest));
      if (item === undefined) return undefined;
      const { registry, repository } = destination;
      const progress = decode(uploadItem, item);
      if (progress.at <= now() - UPLOAD_KEPT_MS) return undefined;
      return { destination: { registry, repository }, digest, ...progress };
    },

    /** 1 WCU. */
    async forgetUpload(destination, digest) {
      await deleteItem(table, keyOf(destination, digest));
    },
  };
}

function keyOf(destination: Repository, digest: Digest) {
  return { pk: `upload#${formatRepository(destination)}#${digest}`, sk: 'upload' };
}
