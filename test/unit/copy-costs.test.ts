import { Hash } from 'node:crypto';
import { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { OCI_CONFIG, OCI_MANIFEST } from '../../core/model/media-types.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { openCopying } from '../support/copying.ts';

/** Bytes that somebody was given: which piece of memory they are in, where, and how many. */
interface Place {
  memory: number;
  start: number;
  length: number;
}

const pieces: ArrayBufferLike[] = [];

function placeOf({ buffer, byteOffset, byteLength }: Uint8Array): Place {
  if (!pieces.includes(buffer)) pieces.push(buffer);
  return { memory: pieces.indexOf(buffer), start: byteOffset, length: byteLength };
}

const sum = (places: readonly Place[]) => places.reduce((all, { length }) => all + length, 0);

/** What is written to a registry from now on, one entry a write. */
function watchWrites(): (registry: EmbeddedRegistry) => Place[] {
  const writes: Array<Place & { port: number | undefined }> = [];
  const write = Socket.prototype.write;
  vi.spyOn(Socket.prototype, 'write').mockImplementation(function (this: Socket, ...args) {
    const [chunk] = args as unknown as [string | Uint8Array];
    writes.push({ port: this.remotePort, ...placeOf(typeof chunk === 'string' ? Buffer.from(chunk) : chunk) });
    return write.apply(this, args);
  });
  return ({ host }) => writes.filter(({ port }) => port === Number(host.split(':')[1]));
}

/** What is hashed from now on. */
function watchHashes(): Place[] {
  const hashed: Place[] = [];
  const update = Hash.prototype.update;
  vi.spyOn(Hash.prototype, 'update').mockImplementation(function (this: Hash, ...args) {
    const [bytes] = args as unknown as [string | Uint8Array];
    if (typeof bytes !== 'string') hashed.push(placeOf(bytes));
    return update.apply(this, args);
  });
  return hashed;
}

/** What a socket writes at once (`writable._writev` in Node's documentation of streams). */
interface Gathering {
  _writev(chunks: Array<{ chunk: string | Buffer }>, done: (error?: Error) => void): void;
}

// What a copy makes the machine do, counted: time is another on each machine, and these are not.
describe('what moving an image takes', () => {
  let source: EmbeddedRegistry;
  let destinations: EmbeddedRegistry[];

  beforeAll(async () => {
    source = await startRegistry();
    destinations = await Promise.all([startRegistry({ discard: true }), startRegistry({ discard: true })]);
  });
  afterEach(() => void vi.restoreAllMocks());
  afterAll(() => Promise.all([source, ...destinations].map((one) => one.close())));

  it('is to hash each byte of a large layer once, and to write it once from where it landed', async () => {
    const mebibytes = 24;
    const size = mebibytes * 2 ** 20;
    const config = source.content.addBlob('big/app', Buffer.from('{}'));
    const layer = source.content.addGeneratedBlob('big/app', 'large', size);
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_CONFIG, digest: config.digest, size: config.size },
      layers: [{ mediaType: 'application/octet-stream', digest: layer.digest, size }],
    };
    source.content.putManifest('big/app', 'v1', OCI_MANIFEST, Buffer.from(JSON.stringify(manifest)));
    await using copying = openCopying();
    const writtenTo = watchWrites();
    const hashed = watchHashes();
    const to = destinations.map(({ host }) => ({ host, repository: 'big/app' }));
    const arrivals = await copying.copy({ host: source.host, repository: 'big/app' }, to);
    expect(arrivals.map(({ error }) => error)).toEqual([undefined, undefined]);

    const [written = [], other = []] = destinations.map(writtenTo);
    const small = 16_384;
    expect(sum(written)).toBeGreaterThan(size);
    expect(sum(written)).toBeLessThan(size + 2 * small);
    const large = written.filter(({ length }) => length > small);
    // A copy of what landed would be memory of its own; so would be a part for each destination.
    const memory = new Set(large.map((part) => part.memory));
    const held = [...memory].reduce((all, piece) => all + (pieces[piece]?.byteLength ?? 0), 0);
    expect(held).toBeLessThan(4 * 2 ** 20);
    const inMemory = (places: readonly Place[]) => places.filter((place) => memory.has(place.memory));
    const where = (places: readonly Place[]) =>
      inMemory(places).map(({ memory, start, length }) => [memory, start, length]);
    expect(where(other)).toEqual(where(written));
    expect(sum(inMemory(hashed))).toBe(sum(inMemory(written)));
    // Four where slabs of 256 KiB come full, more where the source is slow.
    expect(written.length / mebibytes).toBeLessThan(16);
  });

  it('is to write a small blob to all destinations from where it landed', async () => {
    const image = { seed: 'landed', tag: 'v1', layers: [{ seed: 'landed', bytes: 200_000 }] };
    await pushImage({ url: source.url, repository: 'landed/app' }, image);
    await using copying = openCopying();
    const writtenTo = watchWrites();
    const to = destinations.map(({ host }) => ({ host, repository: 'landed/app' }));
    await copying.copy({ host: source.host, repository: 'landed/app' }, to);
    const [written = [], other = []] = destinations.map((one) =>
      writtenTo(one)
        .filter(({ length }) => length > 16_384)
        .map(({ memory, start, length }) => [memory, start, length]),
    );
    expect(written.length).toBeGreaterThan(0);
    expect(other).toEqual(written);
  });

  it('is to send the first bytes of each large layer with the head of their request', async () => {
    const size = 2 ** 20;
    const config = source.content.addBlob('head/app', Buffer.from('{}'));
    const putImage = (tag: string) => {
      const layers = ['one', 'two', 'three'].map((seed) => {
        const { digest } = source.content.addGeneratedBlob('head/app', `${tag} ${seed}`, size);
        return { mediaType: 'application/octet-stream', digest, size };
      });
      const manifest = {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { ...config, mediaType: OCI_CONFIG },
        layers,
      };
      source.content.putManifest('head/app', tag, OCI_MANIFEST, Buffer.from(JSON.stringify(manifest)));
    };
    await using copying = openCopying();
    const gathered = vi.spyOn(Socket.prototype as Gathering, '_writev');
    const [destination] = destinations as [EmbeddedRegistry];
    // The second finds connections open, and waits for nothing.
    for (const tag of ['v1', 'v2']) {
      gathered.mockClear();
      putImage(tag);
      const place = { repository: 'head/app', tag };
      await copying.copy({ host: source.host, ...place }, [{ host: destination.host, ...place }]);
      const parts = gathered.mock.calls.map(([chunks]) => chunks.slice(0, 2).map(({ chunk }) => chunk));
      const puts = parts.filter(([head]) => String(head).startsWith('PUT '));
      expect(puts).toEqual(Array(3).fill([expect.any(String), expect.any(Buffer)]));
    }
  });

  it('is one write a request, with the bytes of small blobs and manifests in it', async () => {
    const image = { seed: 'small', tag: 'v1', layers: [{ seed: 'small', bytes: 5_000 }] };
    await pushImage({ url: source.url, repository: 'small/app' }, image);
    await using copying = openCopying();
    const [destination] = destinations as [EmbeddedRegistry];
    const before = [source, destination].map((registry) => registry.count());
    const writtenTo = watchWrites();
    await copying.copy({ host: source.host, repository: 'small/app' }, [
      { host: destination.host, repository: 'small/app' },
    ]);
    const requests = [source, destination].map((registry, index) => registry.count() - (before[index] ?? 0));
    expect(requests.map((count) => count > 3)).toEqual([true, true]);
    expect([source, destination].map((registry) => writtenTo(registry).length)).toEqual(requests);
  });
});
