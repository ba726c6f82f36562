import type { Readable } from 'node:stream';

/** Reads a stream by numbers of bytes, at the pace of whoever asks. */
export interface ByteReader {
  skip(bytes: number): Promise<void>;
  /** The next bytes; fewer only where the stream ends before. Rejects when the stream fails. */
  take(bytes: number): Promise<Buffer>;
}

export function readBytes(body: Readable): ByteReader {
  const chunks: AsyncIterator<Buffer> = body[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);

  /** Hands on the next bytes as they come. */
  async function each(bytes: number, use: (part: Buffer, at: number) => void): Promise<number> {
    let at = 0;
    while (at < bytes) {
      if (rest.length === 0) {
        const { done, value } = await chunks.next();
        if (done) break;
        rest = value;
      }
      const part = rest.subarray(0, bytes - at);
      use(part, at);
      at += part.length;
      rest = rest.subarray(part.length);
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
  };
}
