import { type ChunkedReader, createChunkedReader } from './chunked.ts';
import { notHttp, parseResponseHead, type ResponseHead } from './response-head.ts';
import { wireError } from './wire-error.ts';

/** Gateways add policies, cookies and long signed URLs; Node stops at 16 KiB, Go's net/http at 10 MiB. */
const MAX_HEAD_BYTES = 256 * 1024;
/** Of 1xx responses before the one that counts. */
const MAX_INTERIM = 16;

const CR = 13;
const LF = 10;

/** What is read of one response, in this order. */
export interface ResponseParts {
  onHead(head: ResponseHead): void;
  /** Bytes of the body, within the buffer that is being read. */
  onBytes(buffer: Buffer, start: number, end: number): void;
  onEnd(): void;
}

/** Reads responses, one after another, as their bytes come. What comes does not depend on how the bytes are divided. */
export interface ResponseReader {
  /**
   * The next response begins.
   * @param method of its request
   */
  begin(method: string): void;
  /**
   * @returns where it stopped: at `end`, or behind the response's last byte
   * @throws WireError `NOT_HTTP`
   */
  read(buffer: Buffer, start: number, end: number): number;
  /**
   * The peer sends no more.
   * @throws WireError `HUNG_UP` where the response is not complete
   */
  close(): void;
}

export function createResponseReader(parts: ResponseParts): ResponseReader {
  let method = '';
  let state: 'head' | 'length' | 'chunked' | 'close' | 'over' = 'head';
  let text = '';
  /** Of the line that is being read, up to the last byte seen. */
  let lineLength = 0;
  let lastByte = 0;
  let interim = 0;
  let left = 0;
  let chunks: ChunkedReader | undefined;

  function finish(): void {
    state = 'over';
    parts.onEnd();
  }

  /** A head that came as a whole, as most do. What is wrong inside of it is found when it is parsed. */
  function readWholeHead(buffer: Buffer, start: number, end: number): number | undefined {
    const stop = buffer.indexOf('\r\n\r\n', start, 'latin1');
    if (stop === -1 || stop + 4 > end || stop - start > MAX_HEAD_BYTES) return undefined;
    onHead(buffer.toString('latin1', start, stop));
    return stop + 4;
  }

  /** Reads to the empty line that ends a head, or to `end`. */
  function readHead(buffer: Buffer, start: number, end: number): number {
    if (text === '') {
      const stop = readWholeHead(buffer, start, end);
      if (stop !== undefined) return stop;
    }
    let from = start;
    while (from < end) {
      const feed = buffer.indexOf(LF, from);
      const isFound = feed !== -1 && feed < end;
      const stop = isFound ? feed : end;
      if (text.length + stop - start > MAX_HEAD_BYTES) throw notHttp('its head is too long');
      if (stop > from) lastByte = buffer[stop - 1] ?? 0;
      lineLength += stop - from;
      if (!isFound) break;
      if (lastByte !== CR) throw notHttp('a line of its head does not end with CR LF');
      const isEmpty = lineLength === 1;
      lineLength = 0;
      lastByte = LF;
      from = feed + 1;
      if (isEmpty) {
        text += buffer.toString('latin1', start, from);
        const whole = text;
        text = '';
        // Without the empty line and the CR LF before it. A head of nothing but that has no status line.
        onHead(whole.slice(0, -4));
        return from;
      }
    }
    text += buffer.toString('latin1', start, end);
    return end;
  }

  function onHead(whole: string): void {
    const head = parseResponseHead(method, whole);
    if (head.status < 200) {
      interim += 1;
      // We ask for no other protocol, so 101 is none of ours.
      if (head.status === 101 || interim > MAX_INTERIM) throw notHttp(`status ${head.status} was not asked for`);
      return;
    }
    parts.onHead(head);
    const { framing } = head;
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)) {
      finish();
      return;
    }
    state = framing.kind;
    if (framing.kind === 'length') left = framing.bytes;
    if (framing.kind === 'chunked') chunks = createChunkedReader();
  }

  return {
    begin(next) {
      method = next;
      state = 'head';
      text = '';
      lineLength = 0;
      lastByte = 0;
      interim = 0;
      chunks = undefined;
    },
    read(buffer, start, end) {
      let at = start;
      while (at < end && state === 'head') at = readHead(buffer, at, end);
      if (at === end || state === 'over') return at;
      if (chunks !== undefined) {
        at = chunks.read(buffer, at, end, (from, to) => parts.onBytes(buffer, from, to));
        if (chunks.isOver()) finish();
        return at;
      }
      const stop = state === 'length' ? Math.min(end, at + left) : end;
      parts.onBytes(buffer, at, stop);
      left -= stop - at;
      if (state === 'length' && left === 0) finish();
      return stop;
    },
    close() {
      if (state === 'close') finish();
      else if (state !== 'over') throw wireError('HUNG_UP', 'the peer closed the connection');
    },
  };
}
