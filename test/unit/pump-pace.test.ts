import { createHash, randomBytes } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createGate } from '../../core/copy/gate.ts';
import { pumpBlob } from '../../core/copy/pump.ts';
import type { Digest } from '../../core/model/reference.ts';
import type { ByteSource } from '../../core/registry/wire/byte-source.ts';
import { partsOf, sourceFrom } from '../support/byte-sources.ts';

/** A sink that takes a chunk every few turns of the event loop, and asks for the next only then. */
function slowSink(turns: number) {
  const taken: Buffer[] = [];
  const sink = (body: ByteSource) =>
    pipeline(
      partsOf(body),
      new Writable({
        highWaterMark: 1,
        async write(chunk: Buffer, _encoding, done) {
          for (let left = turns; left > 0; left -= 1) await turn();
          taken.push(Buffer.from(chunk));
          done();
        },
      }),
    );
  return { sink, bytes: () => Buffer.concat(taken) };
}

describe('pumpBlob with sinks slower than the source', () => {
  // One chunk that fills a sink's buffer, several that do, and none that does: the ways to become full differ.
  for (const chunkBytes of [64 * 1024, 48 * 1024, 1000]) {
    it(`never stops in between, with chunks of ${chunkBytes} bytes`, async () => {
      const content = randomBytes(64 * 1024 * 20 + 7);
      const chunks: Buffer[] = [];
      for (let at = 0; at < content.length; at += chunkBytes) chunks.push(content.subarray(at, at + chunkBytes));
      const digest: Digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
      const sinks = [slowSink(3), slowSink(1)];
      let opened = 0;

      const errors = await pumpBlob({
        digest,
        size: content.length,
        signal: new AbortController().signal,
        open: async () => {
          opened += 1;
          return { body: sourceFrom(Readable.from(chunks)), offset: 0 };
        },
        sinks: sinks.map((one) => one.sink),
        // A pump that waits for a sink that waits for it would be opened again by its watchdog, or fail.
        stallMs: 1000,
      });

      expect(errors).toEqual([undefined, undefined]);
      expect(opened).toBe(1);
      for (const one of sinks) expect(one.bytes().equals(content)).toBe(true);
    });
  }
});

describe('pumpBlob behind a gate', () => {
  const content = randomBytes(64 * 1024 * 20 + 7);
  const digest: Digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;

  /** Shuts the gate when some bytes went by. */
  function pumpBehind(signal: AbortSignal) {
    const gate = createGate(() => 0);
    const shutAt = 64 * 1024 * 5;
    const sink = slowSink(1);
    let read = 0;
    let reopen: (() => void) | undefined;
    async function* chunks() {
      for (let at = 0; at < content.length; at += 16 * 1024) {
        await turn();
        yield content.subarray(at, at + 16 * 1024);
      }
    }
    const errors = pumpBlob({
      digest,
      size: content.length,
      signal,
      gate,
      open: async () => ({ body: sourceFrom(Readable.from(chunks(), { highWaterMark: 1 })), offset: 0 }),
      sinks: [sink.sink],
      onBytes: (bytes) => {
        read += bytes;
        if (read >= shutAt) reopen ??= gate.shut();
      },
    });
    return { errors, sink, read: () => read, shutAt, isShut: () => gate.isShut(), reopen: () => reopen?.() };
  }

  it('reads no more while it is shut, and goes on when it opens', async () => {
    const pump = pumpBehind(new AbortController().signal);
    while (!pump.isShut()) await turn();
    for (let turns = 0; turns < 200; turns += 1) await turn();
    expect(pump.read()).toBe(pump.shutAt);
    pump.reopen();
    expect(await pump.errors).toEqual([undefined]);
    expect(pump.sink.bytes().equals(content)).toBe(true);
  });

  it('ends while it is shut, when it is told to', async () => {
    const stop = new AbortController();
    const pump = pumpBehind(stop.signal);
    while (!pump.isShut()) await turn();
    stop.abort();
    expect(await pump.errors).toEqual([expect.objectContaining({ code: 'aborted' })]);
    pump.reopen();
  });
});
