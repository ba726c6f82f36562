import { type ByteSource, createBytePipe } from '../byte-source.ts';
import { holdSlab, isFull, type Landing, releaseSlab, type Slab } from './landing.ts';

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

/** A part is handed on after this at the latest. Much longer, and a slow peer would seem to send nothing. */
const GATHER_MS = 10;

/**
 * What comes is gathered in slabs, since TLS hands over 16 KiB at once: a part is what fills a slab, or ends the body, or came
 * within {@link GATHER_MS}.
 *
 * @param landing where the bytes land; undefined where they are in memory that is the reader's to keep
 */
export function createIncomingBody(controls: BodyControls, landing: Landing | undefined): IncomingBody {
  const pipe = createBytePipe(controls.cancel);
  let held = 0;
  let isPaused = false;
  let isOver = false;
  let gathered: { slab: Slab; start: number; end: number } | undefined;
  let flushing: NodeJS.Timeout | undefined;

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
    clearTimeout(flushing);
    flushing = undefined;
    if (gathered === undefined) return;
    const { slab, start, end } = gathered;
    gathered = undefined;
    hand(slab.memory.subarray(start, end), () => releaseSlab(slab));
  }

  function gather(slab: Slab, start: number, end: number): void {
    if (gathered?.slab === slab && gathered.end === start) {
      gathered.end = end;
    } else {
      flush();
      holdSlab(slab);
      gathered = { slab, start, end };
      flushing = setTimeout(flush, GATHER_MS);
    }
    if (isFull(slab)) flush();
  }

  return {
    source: pipe.source,
    isPaused: () => isPaused,
    put(buffer, start, end, slab) {
      if (slab !== undefined) return gather(slab, start, end);
      const bytes = buffer.subarray(start, end);
      if (landing === undefined) {
        hand(bytes, undefined);
      } else if (landing.usesSlabs) {
        const into = landing.moveToSlab(bytes);
        gather(into, into.used - bytes.length, into.used);
      } else {
        hand(Buffer.from(bytes), undefined);
      }
    },
    end() {
      flush();
      isOver = true;
      pipe.end();
    },
    fail(error) {
      isOver = true;
      // What has come is good: the rest can be asked for.
      flush();
      pipe.fail(error);
    },
  };
}
