import type { ByteSource } from '../registry/wire/byte-source.ts';

/** Reads a source by numbers of bytes, at the pace of whoever asks. */
export interface ByteReader {
  skip(bytes: number): Promise<void>;
  /** The next bytes; fewer only where the source ends before. Rejects when the source fails. */
  take(bytes: number): Promise<Buffer>;
  /** Ends the reading. */
  close(): void;
}

export function readBytes(source: ByteSource): ByteReader {
  let parts: Array<{ bytes: Buffer; done: () => void }> = [];
  /** How many bytes of the first part were read. */
  let read = 0;
  let ending: { error?: Error } | undefined;
  let wake = () => {};
  const end = (given: { error?: Error }) => {
    ending = given;
    wake();
  };
  source.flow({
    take(bytes, done) {
      parts.push({ bytes, done });
      wake();
    },
    end: () => end({}),
    fail: (error) => end({ error }),
  });

  /** Hands on the next bytes as they come. */
  async function each(bytes: number, use: (part: Buffer, at: number) => void): Promise<number> {
    let at = 0;
    while (at < bytes) {
      const first = parts[0];
      if (first === undefined) {
        if (ending?.error !== undefined) throw ending.error;
        if (ending !== undefined) break;
        await new Promise<void>((settle) => {
          wake = settle;
        });
        continue;
      }
      const part = first.bytes.subarray(read, read + bytes - at);
      use(part, at);
      at += part.length;
      read += part.length;
      if (read < first.bytes.length) continue;
      read = 0;
      parts.shift();
      first.done();
    }
    return at;
  }

  return {
    async skip(bytes) {
      await each(bytes, () => {});
    },
    async take(bytes) {
      const taken = Buffer.allocUnsafe(bytes);
      const length = await each(bytes, (part, at) => part.copy(taken, at));
      return taken.subarray(0, length);
    },
    close() {
      source.cancel();
      for (const { done } of parts) done();
      parts = [];
    },
  };
}
