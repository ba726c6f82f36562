import type { Readable } from 'node:stream';
import { TranshipError } from '../../model/errors.ts';

/**
 * Reads a body to its end, counting; one that is too long is cut off at its source.
 * @throws TranshipError `limit-exceeded`, permanent; or what the stream fails with
 */
export async function readBody(body: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    // Leaving the loop destroys the stream.
    if (length > maxBytes) {
      throw new TranshipError(`the response is longer than ${maxBytes} bytes`, {
        class: 'permanent',
        code: 'limit-exceeded',
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The start of a body as text, for messages. Never fails: where the connection breaks, the text is shorter. */
export async function readStart(body: Readable, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= maxBytes) break;
    }
  } catch {
    // What came before the connection broke is still worth showing.
  }
  return Buffer.concat(chunks).toString('utf8').slice(0, maxBytes);
}

/**
 * Frees the connection of a response whose body is not needed: a short body is read, a long one cut off. Never fails.
 */
export function discard(body: Readable): Promise<void> {
  // Not by readStart(): most responses are discarded, and its iterator is slow.
  return new Promise((resolve) => {
    if (body.destroyed || body.readableEnded) return resolve();
    let left = 64 * 1024;
    body.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) body.destroy();
    });
    body.on('error', () => {});
    body.once('end', resolve);
    body.once('close', resolve);
  });
}
