import type { Readable } from 'node:stream';
import type { ByteSource } from '../../core/registry/wire/byte-source.ts';

/** A source of what a stream gives. It goes on while fewer than two parts are not done. */
export function sourceFrom(stream: Readable): ByteSource {
  return {
    flow(taker) {
      let open = 0;
      stream.on('data', (bytes: Buffer) => {
        open += 1;
        if (open === 2) stream.pause();
        taker.take(bytes, () => {
          open -= 1;
          if (open === 1) stream.resume();
        });
      });
      stream.once('error', (error) => taker.fail(error));
      if (stream.readableEnded) taker.end();
      else stream.once('end', () => taker.end());
    },
    cancel() {
      stream.on('error', () => {});
      stream.removeAllListeners('data').removeAllListeners('end').destroy();
    },
  };
}

/** The parts of a source, each done when the next is asked for. */
export async function* partsOf(source: ByteSource): AsyncGenerator<Buffer, void> {
  const parts: Array<{ bytes: Buffer; done: () => void }> = [];
  let ending: { error?: Error } | undefined;
  let wake = () => {};
  source.flow({
    take(bytes, done) {
      parts.push({ bytes, done });
      wake();
    },
    end() {
      ending = {};
      wake();
    },
    fail(error) {
      ending = { error };
      wake();
    },
  });
  try {
    for (;;) {
      const part = parts[0];
      if (part !== undefined) {
        yield part.bytes;
        parts.shift();
        part.done();
        continue;
      }
      if (ending?.error !== undefined) throw ending.error;
      if (ending !== undefined) return;
      await new Promise<void>((settle) => {
        wake = settle;
      });
    }
  } finally {
    source.cancel();
    for (const { done } of parts) done();
  }
}

/** All of a source. */
export async function bytesOf(source: ByteSource): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of partsOf(source)) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}
