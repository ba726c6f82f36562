import { notHttp, parseFields } from './response-head.ts';

/** Reads a chunked body (RFC 9112 section 7.1) as its bytes come. */
export interface ChunkedReader {
  /**
   * Reads on and hands the content over.
   * @returns where it stopped: at `end`, or behind the body's last byte
   * @throws WireError `NOT_HTTP`
   */
  read(buffer: Buffer, start: number, end: number, onBytes: (start: number, end: number) => void): number;
  isOver(): boolean;
}

/** Of a line with a chunk's size. All extensions together may be as long. */
const MAX_LINE_BYTES = 4096;
const MAX_TRAILER_BYTES = 16 * 1024;

const CR = 13;
const LF = 10;

/** The size in hexadecimal digits; what may follow are blanks, by which old servers pad it, and extensions. */
const sizeLine = /^([0-9a-fA-F]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

export function createChunkedReader(): ChunkedReader {
  let state: 'size' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'over' = 'size';
  let left = 0;
  let line = '';
  let isLineComplete = false;
  let extensions = 0;
  let trailers = 0;

  function readLine(buffer: Buffer, start: number, end: number): number {
    const feed = buffer.indexOf(LF, start);
    const isFound = feed !== -1 && feed < end;
    const stop = isFound ? feed + 1 : end;
    line += buffer.toString('latin1', start, stop);
    if (line.length > MAX_LINE_BYTES) throw notHttp('a line between chunks is too long');
    isLineComplete = isFound;
    if (isFound && !line.endsWith('\r\n')) throw notHttp('a line between chunks does not end with CR LF');
    return stop;
  }

  function onSize(): void {
    const text = line.slice(0, -2);
    const digits = sizeLine.exec(text)?.[1];
    if (digits === undefined) throw notHttp('the size of a chunk is not a number');
    extensions += text.length - digits.length;
    if (extensions > MAX_LINE_BYTES) throw notHttp('its chunks have too many extensions');
    left = Number.parseInt(digits, 16);
    state = left === 0 ? 'trailer' : 'data';
  }

  function onTrailer(): void {
    trailers += line.length;
    if (trailers > MAX_TRAILER_BYTES) throw notHttp('its trailer is too long');
    if (line === '\r\n') state = 'over';
    // Nothing in a trailer is used.
    else parseFields(line.slice(0, -2), 0);
  }

  return {
    read(buffer, start, end, onBytes) {
      let at = start;
      while (at < end && state !== 'over') {
        if (state === 'data') {
          const stop = Math.min(end, at + left);
          onBytes(at, stop);
          left -= stop - at;
          at = stop;
          if (left === 0) state = 'data-cr';
        } else if (state === 'data-cr' || state === 'data-lf') {
          if (buffer[at] !== (state === 'data-cr' ? CR : LF)) throw notHttp('a chunk is longer than its size');
          at += 1;
          state = state === 'data-cr' ? 'data-lf' : 'size';
        } else {
          at = readLine(buffer, at, end);
          if (!isLineComplete) break;
          if (state === 'size') onSize();
          else onTrailer();
          line = '';
        }
      }
      return at;
    },
    isOver: () => state === 'over',
  };
}
