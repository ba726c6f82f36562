import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PumpOptions, pumpBlob, type Sink } from '../../core/copy/pump.ts';
import { digestOf } from '../../core/model/digest.ts';
import { TranshipError } from '../../core/model/errors.ts';
import { partsOf, sourceFrom } from '../support/byte-sources.ts';

const never = new AbortController().signal;

/** A source that gives these bytes in chunks, and breaks off once at `breakAt`. */
function sourceOf(bytes: Buffer, options: { chunk?: number; breakAt?: number } = {}) {
  const { chunk = 1000 } = options;
  let { breakAt } = options;
  const opened: number[] = [];
  const open: PumpOptions['open'] = async (offset) => {
    opened.push(offset);
    const stopAt = breakAt;
    breakAt = undefined;
    const body = Readable.from(
      (function* () {
        for (let at = offset; at < bytes.length; at += chunk) {
          if (stopAt !== undefined && at >= stopAt) throw new Error('connection reset');
          yield bytes.subarray(at, Math.min(at + chunk, bytes.length));
        }
      })(),
      { objectMode: false },
    );
    return { body: sourceFrom(body), offset };
  };
  return { open, opened };
}

/** A sink that keeps what it gets, and how it ended. */
function collector() {
  const chunks: Buffer[] = [];
  const state = { isComplete: false, bytes: () => Buffer.concat(chunks) };
  const sink: Sink = async (body) => {
    for await (const part of partsOf(body)) chunks.push(Buffer.from(part));
    state.isComplete = true;
  };
  return { sink, state };
}

function pump(bytes: Buffer, sinks: Sink[], options: Partial<PumpOptions> & Pick<PumpOptions, 'open'>) {
  return pumpBlob({ digest: digestOf(bytes), size: bytes.length, sinks, signal: never, ...options });
}

describe('pumpBlob', () => {
  it('brings any bytes, in any chunks, to any number of sinks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 5000 }),
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 1, max: 3 }),
        fc.option(fc.integer({ min: 1, max: 4999 }), { nil: undefined }),
        async (content, chunk, count, breakAt) => {
          const bytes = Buffer.from(content);
          const collectors = Array.from({ length: count }, collector);
          const source = sourceOf(bytes, { chunk, ...(breakAt !== undefined && breakAt >= chunk && { breakAt }) });
          const errors = await pump(
            bytes,
            collectors.map(({ sink }) => sink),
            source,
          );
          expect(errors).toEqual(collectors.map(() => undefined));
          for (const { state } of collectors) {
            expect(state.isComplete).toBe(true);
            expect(state.bytes().equals(bytes)).toBe(true);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('completes its sinks with a blob of no bytes, and without sinks opens nothing', async () => {
    const nothing = Buffer.alloc(0);
    const { sink, state } = collector();
    expect(await pump(nothing, [sink], sourceOf(nothing))).toEqual([undefined]);
    expect(state.isComplete).toBe(true);
    const source = sourceOf(randomBytes(10));
    expect(await pump(nothing, [], source)).toEqual([]);
    expect(source.opened).toEqual([]);
  });

  it('opens a source that is refused, or that breaks off for ever, a bounded number of times', async () => {
    const bytes = randomBytes(10_000);
    for (const [error, times] of [
      [new TranshipError('no', { class: 'permanent', code: 'denied' }), 1],
      [new TranshipError('not now', { class: 'transient', code: 'network' }), 3],
    ] as const) {
      let opened = 0;
      const open: PumpOptions['open'] = async (offset) => {
        opened += 1;
        // Some bytes of progress each time, as a drip gives it.
        const body = Readable.from(
          (function* () {
            yield bytes.subarray(offset, offset + 10);
            throw error;
          })(),
          { objectMode: false },
        );
        return { body: sourceFrom(body), offset };
      };
      const sinks = [collector(), collector()];
      const errors = await pump(
        bytes,
        sinks.map(({ sink }) => sink),
        { open },
      );
      expect(errors).toEqual([error, error]);
      expect(opened).toBe(times);
      expect(sinks.map(({ state }) => state.isComplete)).toEqual([false, false]);
    }
  });

  it('goes on at the place where the source broke off', async () => {
    const bytes = randomBytes(10_000);
    const { sink, state } = collector();
    const source = sourceOf(bytes, { breakAt: 4000 });
    expect(await pump(bytes, [sink], source)).toEqual([undefined]);
    expect(source.opened).toEqual([0, 4000]);
    expect(state.bytes().equals(bytes)).toBe(true);
  });

  it('skips what it has where a registry knows no ranges', async () => {
    const bytes = randomBytes(10_000);
    const { sink, state } = collector();
    const source = sourceOf(bytes, { breakAt: 4000 });
    const open: PumpOptions['open'] = (_offset, signal) => source.open(0, signal);
    expect(await pump(bytes, [sink], { open })).toEqual([undefined]);
    expect(state.bytes().equals(bytes)).toBe(true);
  });

  it.each([
    ['other bytes', (bytes: Buffer) => randomBytes(bytes.length), 'digest-mismatch'],
    ['too few bytes', (bytes: Buffer) => bytes.subarray(0, -1), 'size-mismatch'],
    ['too many bytes', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('!')]), 'size-mismatch'],
  ])('never completes a sink with %s', async (_what, spoil, code) => {
    const bytes = randomBytes(5000);
    const { sink, state } = collector();
    const [error] = await pump(bytes, [sink], sourceOf(spoil(bytes)));
    expect(error).toMatchObject({ code, class: 'transient', mend: expect.stringContaining('push the image') });
    expect(state.isComplete).toBe(false);
    expect(state.bytes().length).toBeLessThan(bytes.length);
  });

  it('moves nothing of a source that says another size', async () => {
    const bytes = randomBytes(5000);
    const { sink, state } = collector();
    const source = sourceOf(bytes);
    const open: PumpOptions['open'] = async (offset, signal) => ({
      ...(await source.open(offset, signal)),
      size: 4999,
    });
    const [error] = await pump(bytes, [sink], { open });
    expect(error).toMatchObject({ code: 'size-mismatch', class: 'transient' });
    expect(state.bytes().length).toBe(0);
  });

  it('goes on for the others where one sink fails', async () => {
    const bytes = randomBytes(500_000);
    const good = collector();
    const bad: Sink = async (body) => {
      for await (const _ of partsOf(body)) throw new TranshipError('no', { class: 'permanent', code: 'denied' });
    };
    const errors = await pump(bytes, [bad, good.sink], sourceOf(bytes));
    expect(errors).toEqual([expect.objectContaining({ code: 'denied' }), undefined]);
    expect(good.state.bytes().equals(bytes)).toBe(true);
  });

  it('reads the source at the pace of the slowest sink', async () => {
    const bytes = randomBytes(4_000_000);
    let read = 0;
    const gate = Promise.withResolvers<void>();
    const fast = collector();
    const slow = collector();
    const result = pump(
      bytes,
      [
        fast.sink,
        async (body) => {
          await gate.promise;
          await slow.sink(body);
        },
      ],
      {
        ...sourceOf(bytes, { chunk: 16_384 }),
        onBytes: (count) => {
          read += count;
        },
      },
    );
    // Nothing can say that no more will come; two readings that agree, a while apart, say that it has stopped.
    await expect.poll(() => read).toBeGreaterThan(0);
    let before = -1;
    while (before !== read) {
      before = read;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(read).toBeLessThan(1_000_000);
    gate.resolve();
    expect(await result).toEqual([undefined, undefined]);
    expect(slow.state.bytes().equals(bytes)).toBe(true);
  });

  it('gives up on a source that drips', async () => {
    const bytes = randomBytes(2000);
    const open: PumpOptions['open'] = async () => ({ body: sourceFrom(new Readable({ read() {} })), offset: 0 });
    const { sink, state } = collector();
    const [error] = await pump(bytes, [sink], { open, stallMs: 50 });
    expect(error).toMatchObject({ code: 'stalled', class: 'transient' });
    expect(state.isComplete).toBe(false);
  });

  it('stops at a signal', async () => {
    const stop = new AbortController();
    const open: PumpOptions['open'] = async () => ({ body: sourceFrom(new Readable({ read() {} })), offset: 0 });
    const { sink } = collector();
    const result = pump(randomBytes(10), [sink], { open, signal: stop.signal });
    stop.abort();
    expect(await result).toEqual([expect.objectContaining({ code: 'aborted' })]);
  });
});
