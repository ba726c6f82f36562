import { createCipheriv, createHash } from 'node:crypto';

const chunkSize = 64 * 1024;

/**
 * Bytes `start` to `end` (exclusive) of an endless row that the seed alone decides, in chunks of at most 64 KiB:
 * content of any size that takes no memory. Does not compress.
 */
export function* generatedBytes(seed: string, start: number, end: number): Generator<Buffer> {
  const pattern = patternOf(seed);
  for (let position = start; position < end; ) {
    const index = Math.floor(position / chunkSize);
    const from = position % chunkSize;
    const to = Math.min(chunkSize, from + end - position);
    const chunk = Buffer.from(pattern);
    chunk.writeDoubleBE(index);
    yield chunk.subarray(from, to);
    position += to - from;
  }
}

/** As {@link generatedBytes}, all at once. */
export function seededBytes(seed: string, size: number): Buffer {
  return Buffer.concat([...generatedBytes(seed, 0, size)]);
}

function patternOf(seed: string): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(chunkSize));
}
