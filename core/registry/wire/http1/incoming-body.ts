import { type ByteSource, createBytePipe } from '../byte-source.ts';
import { holdSlab, releaseSlab, type Slab } from './landing.ts';

/** The body of a response while it comes. */
export interface IncomingBody {
  source: ByteSource;
  /** Bytes that came, in a slab or in memory that is used again at once. */
  put(buffer: Buffer, start: number, end: number, slab: Slab | undefined): void;
  end(): void;
  fail(error: Error): void;
  isPaused(): boolean;
}

export interface BodyControls {
  /** Stops the reading of the socket, or goes on with it. */
  pause(): void;
  resume(): void;
  /** Nobody wants the rest. */
  cancel(): void;
}

/** So many bytes may be on their way to whoever takes them before the socket is read no more. */
const WINDOW_BYTES = 512 * 1024;

/**
 * What lands in a slab is gathered, since TLS hands over 16 KiB at once: until the slab is full, or all that has come is read,
 * it is one part.
 *
 * @param isOwned bytes that are not in a slab are the reader's to keep
 */
export function createIncomingBody(controls: BodyControls, isOwned: boolean): IncomingBody {
  const pipe = createBytePipe(controls.cancel);
  let held = 0;
  let isPaused = false;
  let isOver = false;
  let gathered: { slab: Slab; start: number; end: number } | undefined;
  let flushing: NodeJS.Immediate | undefined;

  function hand(bytes: Buffer, free: (() => void) | undefined): void {
    const { length } = bytes;
    held += length;
    pipe.put(bytes, () => {
      held -= length;
      free?.();
      if (isPaused && held < WINDOW_BYTES && !isOver) {
        isPaused = false;
        controls.resume();
      }
    });
    if (held >= WINDOW_BYTES && !isPaused && !isOver) {
      isPaused = true;
      controls.pause();
    }
  }

  function flush(): void {
    if (flushing !== undefined) clearImmediate(flushing);
    flushing = undefined;
    if (gathered === undefined) return;
    const { slab, start, end } = gathered;
    gathered = undefined;
    hand(slab.memory.subarray(start, end), () => releaseSlab(slab));
  }

  return {
    source: pipe.source,
    isPaused: () => isPaused,
    put(buffer, start, end, slab) {
      if (slab === undefined) {
        flush();
        const bytes = buffer.subarray(start, end);
        hand(isOwned ? bytes : Buffer.from(bytes), undefined);
        return;
      }
      if (gathered?.slab === slab && gathered.end === start) {
        gathered.end = end;
        return;
      }
      flush();
      holdSlab(slab);
      gathered = { slab, start, end };
      flushing ??= setImmediate(flush);
    },
    end() {
      flush();
      isOver = true;
      pipe.end();
    },
    fail(error) {
      isOver = true;
      if (flushing !== undefined) clearImmediate(flushing);
      if (gathered !== undefined) releaseSlab(gathered.slab);
      gathered = undefined;
      pipe.fail(error);
    },
  };
}
