import { createHash, randomBytes } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { pumpBlob } from '../../core/copy/pump.ts';
import type { Digest } from '../../core/reference.ts';

/** A sink that takes a chunk every few turns of the event loop, and asks for the next only then. */
function slowSink(turns: number) {
  const taken: Buffer[] = [];
  const sink = (body: Readable) =>
    pipeline(
      body,
      new Writable({
        highWaterMark: 1,
        async write(chunk: Buffer, _encoding, done) {
          for (let left = turns; left > 0; left -= 1) await turn();
          taken.push(chunk);
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
          return { body: Readable.from(chunks), offset: 0 };
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

describe('pumpBlob with a long blob', () => {
  it('does not let the buffers that went through pile up', async () => {
    const size = 256 * 2 ** 20;
    const chunk = randomBytes(64 * 1024);
    const hash = createHash('sha256');
    for (let at = 0; at < size; at += chunk.length) hash.update(chunk);
    let peak = 0;
    async function* fresh() {
      for (let at = 0; at < size; at += chunk.length) {
        peak = Math.max(peak, process.memoryUsage().arrayBuffers);
        yield Buffer.from(new Uint8Array(chunk).buffer);
        if (at % 2 ** 20 === 0) await turn();
      }
    }
    const before = process.memoryUsage().arrayBuffers;

    const errors = await pumpBlob({
      digest: `sha256:${hash.digest('hex')}`,
      size,
      signal: new AbortController().signal,
      open: async () => ({ body: Readable.from(fresh()), offset: 0 }),
      sinks: [(body) => pipeline(body, new Writable({ write: (_chunk, _encoding, done) => done() }))],
    });

    expect(errors).toEqual([undefined]);
    expect((peak - before) / 2 ** 20).toBeLessThan(48);
  });
});
