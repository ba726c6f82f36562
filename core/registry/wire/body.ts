import { TranshipError } from '../../model/errors.ts';
import { type ByteSource, noBytes } from './byte-source.ts';

/**
 * Reads a body to its end, counting; one that is too long is cut off at its source.
 * @throws TranshipError `limit-exceeded`, permanent; or what the source fails with
 */
export function readBody(body: ByteSource, maxBytes: number): Promise<Buffer> {
  return new Promise((settle, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    body.flow({
      take(bytes, done) {
        length += bytes.length;
        if (length > maxBytes) {
          done();
          body.cancel();
          return reject(tooLong(maxBytes));
        }
        parts.push(Buffer.from(bytes));
        done();
      },
      end: () => settle(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)),
      fail: reject,
    });
  });
}

/** A whole body, in the memory that it landed in. */
export interface HeldBody {
  parts: readonly Buffer[];
  /** Bytes of all parts. */
  length: number;
  /** To be called when nobody reads the parts any more. */
  release(): void;
}

/**
 * Holds a body without a copy. Of one of half a MiB or more the rest would not come before something is let go
 * (`WINDOW_BYTES` of incoming-body.ts).
 * @returns undefined where it is longer than `maxBytes`: then it is cut off
 * @throws what the source fails with
 */
export function holdBody(body: ByteSource, maxBytes: number): Promise<HeldBody | undefined> {
  return new Promise((settle, reject) => {
    const parts: Buffer[] = [];
    const dones: Array<() => void> = [];
    let length = 0;
    const release = () => {
      for (const done of dones.splice(0)) done();
    };
    body.flow({
      take(bytes, done) {
        parts.push(bytes);
        dones.push(done);
        length += bytes.length;
        if (length <= maxBytes) return;
        release();
        body.cancel();
        settle(undefined);
      },
      end: () => settle({ parts, length, release }),
      fail(error) {
        release();
        reject(error);
      },
    });
  });
}

export function tooLong(maxBytes: number): TranshipError {
  return new TranshipError(`the response is longer than ${maxBytes} bytes`, {
    class: 'permanent',
    code: 'limit-exceeded',
  });
}

/** The start of a body as text, for messages. Never fails: where the connection breaks, the text is shorter. */
export function readStart(body: ByteSource, maxBytes: number): Promise<string> {
  return new Promise((settle) => {
    const parts: Buffer[] = [];
    let length = 0;
    const finish = () => settle(Buffer.concat(parts).toString('utf8').slice(0, maxBytes));
    body.flow({
      take(bytes, done) {
        parts.push(Buffer.from(bytes));
        length += bytes.length;
        done();
        if (length < maxBytes) return;
        body.cancel();
        finish();
      },
      end: finish,
      // What came before the connection broke is still worth showing.
      fail: finish,
    });
  });
}

/** Of a body that nobody needs, so much is read to keep its connection. */
const MAX_DISCARDED_BYTES = 64 * 1024;

/**
 * Frees the connection of a response whose body is not needed: a short body is read, a long one cut off, and one without
 * a length as well, whose connection cannot be used again. Never fails.
 */
export function discard(body: ByteSource): Promise<void> {
  if (body === noBytes) return Promise.resolve();
  if (body.endsWithConnection === true) {
    body.cancel();
    return Promise.resolve();
  }
  return new Promise((settle) => {
    let left = MAX_DISCARDED_BYTES;
    body.flow({
      take(bytes, done) {
        left -= bytes.length;
        done();
        if (left >= 0) return;
        body.cancel();
        settle();
      },
      end: settle,
      fail: () => settle(),
    });
  });
}
