import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ensureBlob } from '../../core/copy/blobs.ts';
import { type Arrival, type CopyContext, createArrival, createCopyContext } from '../../core/copy/context.ts';
import { startResumableHash } from '../../core/copy/resumable-hash.ts';
import type { ResumableUploads } from '../../core/copy/resumable-upload.ts';
import { digestOf } from '../../core/model/digest.ts';
import { TranshipError } from '../../core/model/errors.ts';
import { createSlots } from '../../core/model/slots.ts';
import type { BlobPlaces } from '../../core/pipeline/ports/blob-places.ts';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import type { Fault } from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';
import { scriptedRegistry, type TestClient, testClient } from '../support/scripted-registry.ts';
import { type ProgressInMemory, progressInMemory } from '../support/upload-progress.ts';

const CHUNK = 64 * 1024;
/** More than is in buffers; the last chunk is a short one. */
const CHUNKS = 40;
const content = randomBytes((CHUNKS - 0.5) * CHUNK);
const digest = digestOf(content);
const blob = { digest, size: content.length, mediaType: 'application/octet-stream' };
const noPlaces: BlobPlaces = { findBlobs: async () => [], writeBlobs: async () => {}, forgetBlobs: async () => {} };
const timeIsOver = new TranshipError('time is over', { class: 'transient', code: 'timeout' });

let source: EmbeddedRegistry;
let reads: FaultyRegistry;
let target: EmbeddedRegistry;
let writes: FaultyRegistry;
let memory: ProgressInMemory;
let client: TestClient;
let workers = 0;

beforeEach(async () => {
  [source, target] = await Promise.all([startRegistry(), startRegistry()]);
  reads = await startFaultyRegistry({ upstream: source.url });
  writes = await startFaultyRegistry({ upstream: target.url });
  source.content.addBlob('app', content);
  memory = progressInMemory();
  client = testClient();
});

afterEach(async () => {
  await client[Symbol.asyncDispose]();
  await Promise.all([source, target, reads, writes].map((one) => one.close()));
});

interface WorkerOptions {
  emit?: Emit;
  /** Its time is over after so many chunks. */
  chunks?: number;
  /** Or when this says so. */
  stop?: AbortController;
  from?: string;
  to?: string[];
  resumable?: Partial<ResumableUploads> | false;
}

/** Has one worker bring the blob. */
async function work(options: WorkerOptions = {}): Promise<Arrival[]> {
  const { chunks = Number.POSITIVE_INFINITY, from = reads.host, to = [writes.host] } = options;
  const { stop = new AbortController() } = options;
  let saved = 0;
  memory.onSave = () => {
    saved += 1;
    if (saved === chunks) stop.abort(timeIsOver);
  };
  workers += 1;
  const context: CopyContext = {
    ...createCopyContext({ client, ledger: noPlaces, blobsAtOnce: 4, emit: options.emit ?? (() => {}) }),
    retry: { attempts: 3, baseMs: 1, capMs: 2 },
    signal: stop.signal,
    resumable:
      options.resumable === false
        ? undefined
        : {
            fromBytes: 2 * CHUNK,
            chunkBytes: CHUNK,
            chunkSlots: createSlots(4),
            ledger: memory,
            owner: `worker ${workers}`,
            chunkSignal: new AbortController().signal,
            now: Date.now,
            startHash: startResumableHash,
            ...options.resumable,
          },
  };
  const arrivals = to.map((host) => createArrival({ registry: host, repository: 'app', tag: '1' }));
  await ensureBlob(context, { registry: from, repository: 'app' }, blob, arrivals);
  return arrivals;
}

const errorsOf = (arrivals: Arrival[]) => arrivals.map(({ error }) => error?.code);
const isThere = (registry = target) => registry.content.hasBlob('app', digest);
const bytesRead = () => reads.find('GET', /\/blobs\//).reduce((sum, { responseBytes }) => sum + responseBytes, 0);
const patches = (registry = writes) => registry.find('PATCH', /./);
/** Those that came in one request. */
const wholes = () => writes.find('PUT', /./).filter(({ requestBytes }) => requestBytes === content.length);
const ranges = () => patches().map(({ headers, status }) => `${headers['content-range']} ${status}`);
const kept = () => [...memory.uploads.values()].map(({ offset }) => offset / CHUNK);

describe('a large blob that is brought by a worker whose time is bounded', () => {
  it('goes in chunks, each with its range, and is completed when all bytes are right', async () => {
    expect(errorsOf(await work())).toEqual([undefined]);
    expect(isThere()).toBe(true);
    expect(patches().map(({ requestBytes }) => requestBytes / CHUNK)).toEqual([...Array(CHUNKS - 1).fill(1), 0.5]);
    expect(patches()[1]?.headers).toMatchObject({ 'content-range': '65536-131071', 'content-length': '65536' });
    expect([kept(), [...memory.leases]]).toEqual([[], []]);
  });

  it('is continued by the next workers where the last one stopped', async () => {
    for (const after of [3, 3]) expect(errorsOf(await work({ chunks: after }))).toEqual(['timeout']);
    expect(errorsOf(await work())).toEqual([undefined]);
    expect(isThere()).toBe(true);
    // What was read ahead is read again: a chunk a worker at most, and what was in buffers.
    expect(ranges().every((range) => range.endsWith('202'))).toBe(true);
    expect(patches().reduce((sum, { requestBytes }) => sum + requestBytes, 0)).toBe(content.length);
    expect(reads.find('GET', /\/blobs\//).map(({ headers }) => headers.range)).toEqual([
      undefined,
      expect.stringMatching(/^bytes=\d+-$/),
      expect.stringMatching(/^bytes=\d+-$/),
    ]);
    expect(target.content.openUploads()).toBe(0);
  });

  it('goes to no more destinations at a time than there is memory for, and to all of them', async () => {
    const others = await Promise.all([1, 2, 3, 4].map(() => startRegistry()));
    const going = new Map<number, number>();
    let most = 0;
    const emit: Emit = (event) => {
      if (event.type === 'blob-started') going.set(event.id, event.destinations.length);
      if (event.type === 'blob-finished') going.delete(event.id);
      most = Math.max(
        most,
        [...going.values()].reduce((sum, destinations) => sum + destinations, 0),
      );
    };
    const chunkSlots = createSlots(2);
    const to = [target, ...others].map(({ host }) => host);
    // Two workers in one process share what memory there is.
    const arrivals = await Promise.all([
      work({ to: to.slice(0, 2), emit, resumable: { chunkSlots } }),
      work({ to: to.slice(2), emit, resumable: { chunkSlots } }),
    ]);
    expect(errorsOf(arrivals.flat())).toEqual(Array(5).fill(undefined));
    expect([target, ...others].map((registry) => isThere(registry))).toEqual(Array(5).fill(true));
    expect(most).toBe(2);
    await Promise.all(others.map((registry) => registry.close()));
  });

  it('counts what arrived of it, so that a worker whose time is over did not work in vain', async () => {
    const [first] = await work({ chunks: 2 });
    expect(first?.bytes).toBeGreaterThanOrEqual(2 * CHUNK);
    const [second] = await work();
    expect((first?.bytes ?? 0) + (second?.bytes ?? 0)).toBe(content.length);
  });

  it('is continued where one was killed in the middle of a chunk, with what the registry has of it', async () => {
    const faults: Fault[] = [
      { when: { method: 'PATCH', hit: 4 }, effect: { kind: 'stall-request', afterBytes: 5_000 } },
    ];
    writes.setFaults(faults);
    const dead = new AbortController();
    const dying = work({ resumable: { chunkSignal: dead.signal } });
    await expect.poll(() => patches()[3]?.requestBytes, { timeout: 30_000 }).toBe(5_000);
    dead.abort(timeIsOver);
    writes.setFaults([]);
    // The same worker goes on: to the registry it is another one.
    expect(errorsOf(await dying)).not.toEqual([undefined]);
    memory.leases.clear();
    expect(errorsOf(await work())).toEqual([undefined]);
    expect(isThere()).toBe(true);
    expect(ranges().slice(4)[0]).toMatch(new RegExp(`^${3 * CHUNK + 5_000}-`));
  });

  it('is begun anew where the registry has lost it, and then counts only when it is complete', async () => {
    await work({ chunks: 3 });
    const [upload] = memory.uploads.values();
    const id = new URL(upload!.location).pathname.split('/').at(-1) ?? '';
    target.content.cancelUpload(target.content.findUpload('app', id));
    const [arrival] = await work({ chunks: 3 });
    expect(arrival).toMatchObject({ error: { code: 'timeout' }, bytes: 0 });
    // The new one is progress again.
    const [last] = await work();
    expect(last?.error).toBeUndefined();
    expect(last?.bytes).toBeGreaterThan(0);
    expect(isThere()).toBe(true);
  });

  it('is not written by two workers at once', async () => {
    await work({ chunks: 3 });
    await memory.acquireLease(`upload ${writes.host}/app@${digest}`, 'another', 1);
    const before = writes.requests.length;
    expect(errorsOf(await work())).toEqual(['lease-held']);
    expect(writes.requests.length).toBe(before);
    expect(kept()).not.toEqual([]);
    memory.leases.clear();
    expect(errorsOf(await work())).toEqual([undefined]);
  });

  it('is left alone by a worker that was paused in the middle until its lease was lost', async () => {
    const { now } = Date;
    const pause = () => vi.spyOn(Date, 'now').mockImplementation(() => now() + 90_000);
    onTestFinished(() => void vi.restoreAllMocks());
    let saved = 0;
    const ledger: ProgressInMemory = {
      ...memory,
      async saveUpload(progress) {
        await memory.saveUpload(progress);
        saved += 1;
        const [[key, lease] = []] = memory.leases;
        if (saved === 2 && key && lease) {
          pause();
          memory.leases.set(key, { ...lease, owner: 'another' });
        }
      },
    };
    expect(errorsOf(await work({ resumable: { ledger } }))).toEqual(['lease-held']);
    expect(patches()).toHaveLength(2);
    expect(target.content.openUploads()).toBe(1);
  });

  it('goes in one request to a registry that refuses a chunk, and to it from then on', async () => {
    const refusal = { kind: 'answer', status: 416 } as const;
    writes.setFaults([{ when: { method: 'PATCH', hit: 1 }, effect: refusal }]);
    expect(errorsOf(await work())).toEqual([undefined]);
    expect([ranges(), wholes().length]).toEqual([['0-65535 416'], 1]);
    target.content.deleteBlob('app', digest);
    expect(errorsOf(await work())).toEqual([undefined]);
    expect([patches().length, wholes().length]).toEqual([1, 2]);
  });

  it('goes in one request to a registry that takes the first chunk alone and does not say so', async () => {
    const frozen = { kind: 'headers', headers: { range: '0-16383' } } as const;
    writes.setFaults([{ when: { method: 'PATCH', hit: 2 }, effect: frozen }]);
    expect(errorsOf(await work())).toEqual([undefined]);
    expect(wholes()).toHaveLength(1);
    expect(isThere()).toBe(true);
    expect(kept()).toEqual([]);
  });

  it('goes in one request where no worker is to continue it, and where it is small', async () => {
    expect(errorsOf(await work({ resumable: false }))).toEqual([undefined]);
    target.content.deleteBlob('app', digest);
    expect(errorsOf(await work({ resumable: { fromBytes: content.length + 1 } }))).toEqual([undefined]);
    expect([ranges(), wholes().length]).toEqual([[], 2]);
  });

  it('goes in chunks as long as the registry wants them', async () => {
    const wanted = { kind: 'headers', headers: { 'oci-chunk-min-length': String(3 * CHUNK) } } as const;
    writes.setFaults([{ when: { method: 'POST' }, effect: wanted }]);
    expect(errorsOf(await work())).toEqual([undefined]);
    expect(patches().map(({ requestBytes }) => requestBytes / CHUNK)).toEqual([...Array(13).fill(3), 0.5]);
  });

  it('is never completed with wrong bytes, and begun anew', async () => {
    await work({ chunks: 3 });
    const flip = { kind: 'flip', offset: 2 * CHUNK } as const;
    reads.setFaults([{ when: { method: 'GET', path: /blobs/ }, effect: flip }]);
    expect(errorsOf(await work())).toEqual(['digest-mismatch']);
    expect([isThere(), kept(), target.content.openUploads()]).toEqual([false, [], expect.any(Number)]);
    expect(writes.find('PUT', /./)).toEqual([]);
    reads.setFaults([]);
    expect(errorsOf(await work())).toEqual([undefined]);
  });

  it.each(['http://169.254.169.254/latest', 'file:///etc/passwd', 'no URL', 'http://user:secret@registry.example/'])(
    'is begun anew where what was kept of it leads to %s',
    async (location) => {
      await work({ chunks: 3 });
      const [[key, upload] = []] = memory.uploads;
      memory.uploads.set(key!, { ...upload!, location });
      expect(errorsOf(await work())).toEqual([undefined]);
      expect(isThere()).toBe(true);
    },
  );

  it('is read again from its start, only to hash it, where the kept hash is of another version', async () => {
    await work({ chunks: 3 });
    const sent = patches().reduce((sum, { requestBytes }) => sum + requestBytes, 0);
    const [[key, upload] = []] = memory.uploads;
    memory.uploads.set(key!, { ...upload!, hashState: new Uint8Array(116) });
    reads.requests.length = 0;
    expect(errorsOf(await work())).toEqual([undefined]);
    expect(bytesRead()).toBe(content.length);
    expect(patches().reduce((sum, { requestBytes }) => sum + requestBytes, 0)).toBe(content.length);
    expect(sent).toBeLessThan(content.length);
  });

  it('is continued from a source without ranges', async () => {
    await work({ chunks: 3 });
    await using plain = await scriptedRegistry(() => ({ body: content }));
    expect(errorsOf(await work({ from: plain.host }))).toEqual([undefined]);
    expect(plain.requests.some(({ headers }) => headers.range !== undefined)).toBe(true);
    expect(isThere()).toBe(true);
  });

  it('is cut off where nothing of it can be kept, and only there', async () => {
    const stop = new AbortController();
    const read = 5 * CHUNK;
    const endless = (_request: unknown, response: ServerResponse) => {
      response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, read));
      setTimeout(() => stop.abort(timeIsOver), 50);
      return 'answered' as const;
    };
    await using plain = await scriptedRegistry(endless);
    const [whole] = await work({ from: plain.host, stop, resumable: { fromBytes: content.length + 1 } });
    expect(whole?.cutOff).toMatchObject({ digest, size: content.length, bytes: read, ms: expect.any(Number) });
    const [chunked] = await work({ chunks: 10 });
    expect([chunked?.error?.code, chunked?.cutOff]).toEqual(['timeout', undefined]);
  });

  it('is cut off where a source without ranges takes a whole time to come to what is new', async () => {
    await work({ chunks: 10 });
    const before = kept();
    const stop = new AbortController();
    await using plain = await scriptedRegistry((_request, response) => {
      response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 9 * CHUNK));
      setTimeout(() => stop.abort(timeIsOver), 50);
      return 'answered';
    });
    const [arrival] = await work({ from: plain.host, stop });
    expect(arrival).toMatchObject({ bytes: 0, cutOff: { digest, bytes: 9 * CHUNK } });
    expect(kept()).toEqual(before);
  });

  it('is brought to each destination from where that one is', async () => {
    const other = await startRegistry();
    try {
      await work({ chunks: 4 });
      const [one, two] = await work({ to: [writes.host, other.host] });
      expect([one?.error, two?.error]).toEqual([undefined, undefined]);
      expect([isThere(), isThere(other)]).toEqual([true, true]);
      expect(patches().reduce((sum, { requestBytes }) => sum + requestBytes, 0)).toBe(content.length);
      expect(two?.bytes).toBe(content.length);
    } finally {
      await other.close();
    }
  });

  it('is not uploaded again where its last answer was lost', async () => {
    writes.setFaults([{ when: { method: 'PUT', hit: 1 }, effect: { kind: 'cut', afterBytes: 0 } }]);
    expect(errorsOf(await work())).toEqual([undefined]);
    expect(patches()).toHaveLength(CHUNKS);
  });
});
