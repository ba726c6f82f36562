import { afterEach, describe, expect, it } from 'vitest';
import {
  UPLOAD_KEPT_MS,
  type UploadProgress,
  type UploadProgressStore,
} from '../../core/pipeline/ports/upload-progress.ts';

const start = 1_790_000_000_000;
const destination = { registry: 'registry.example:5000', repository: 'team/app' };
const digest = `sha256:${'1'.repeat(64)}`;

function progress(over: Partial<UploadProgress> = {}): UploadProgress {
  return {
    destination,
    digest,
    location: 'https://registry.example:5000/v2/team/app/blobs/uploads/1?_state=a',
    offset: 8 * 1024 ** 3,
    hashState: Uint8Array.from({ length: 116 }, (_, n) => n),
    at: start,
    ...over,
  };
}

/**
 * What every store of the progress of uploads must do.
 *
 * @param make an empty one that takes the time from `now` (epoch ms)
 */
export function uploadProgressContract(
  name: string,
  make: (now: () => number) => Promise<{ store: UploadProgressStore; close: () => Promise<void> | void }>,
): void {
  describe(`${name}: progress of uploads`, () => {
    const opened: Array<() => Promise<void> | void> = [];
    afterEach(async () => {
      for (const close of opened.splice(0)) await close();
    });
    async function open() {
      const clock = { now: start };
      const { store, close } = await make(() => clock.now);
      opened.push(close);
      return { store, clock };
    }

    it('is what was saved last', async () => {
      const { store } = await open();
      expect(await store.readUpload(destination, digest)).toBeUndefined();
      await store.saveUpload(progress());
      expect(await store.readUpload(destination, digest)).toEqual(progress());
      const later = progress({ offset: 9 * 1024 ** 3, location: 'two', leastChunkBytes: 5, at: start + 1 });
      await store.saveUpload(later);
      expect(await store.readUpload(destination, digest)).toEqual(later);
    });

    it('is apart for each blob and each repository', async () => {
      const { store } = await open();
      await store.saveUpload(progress());
      expect(await store.readUpload({ ...destination, repository: 'team/app2' }, digest)).toBeUndefined();
      expect(await store.readUpload(destination, `sha256:${'2'.repeat(64)}`)).toBeUndefined();
    });

    it('is forgotten, also twice', async () => {
      const { store } = await open();
      await store.saveUpload(progress());
      for (let times = 0; times < 2; times += 1) await store.forgetUpload(destination, digest);
      expect(await store.readUpload(destination, digest)).toBeUndefined();
    });

    it('is not believed for longer than registries keep an upload', async () => {
      const { store, clock } = await open();
      await store.saveUpload(progress());
      clock.now += UPLOAD_KEPT_MS - 1;
      expect(await store.readUpload(destination, digest)).toBeDefined();
      clock.now += 1;
      expect(await store.readUpload(destination, digest)).toBeUndefined();
    });
  });
}
