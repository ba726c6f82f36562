import { hashFor } from '../model/digest.ts';
import { TranshipError, toTranshipError } from '../model/errors.ts';
import type { Digest } from '../model/reference.ts';
import { abortedError, onAbort } from '../registry/abort.ts';
import { SPOILT_BLOB } from '../registry/blobs.ts';
import { type BytePipe, type ByteSource, createBytePipe } from '../registry/wire/byte-source.ts';
import type { Gate } from './gate.ts';

/**
 * Opens the blob at an offset. The body may begin before it, at a registry without ranges, but never behind it.
 * `size`: bytes of the body, where that is known.
 */
export type OpenSource = (
  offset: number,
  signal: AbortSignal,
) => Promise<{ body: ByteSource; offset: number; size?: number }>;

/** Hashes bytes as they come; `digest` ends it. */
export interface RunningHash {
  update(bytes: Buffer): unknown;
  digest(encoding: 'hex'): string;
}

/** Takes all bytes of the source it is given. Settles when its registry has responded. */
export type Sink = (body: ByteSource) => Promise<void>;

export interface PumpOptions {
  open: OpenSource;
  digest: Digest;
  /** Bytes. */
  size: number;
  /** So many bytes at the start were read before: `hash` has them, and the sinks get what follows. */
  start?: { offset: number; hash: RunningHash };
  sinks: Sink[];
  signal: AbortSignal;
  onBytes?: (bytes: number) => void;
  /** Bytes that came from the source, those included that it sends again because it knows no ranges. */
  onRead?: (bytes: number) => void;
  /** How often a source that breaks in the middle is opened again at the place where it broke. */
  resumes?: number;
  /** The blob fails as `stalled` when fewer than {@link STALL_BYTES} move in this time. */
  stallMs?: number;
  /** Nothing is read while it is shut. */
  gate?: Pick<Gate, 'isShut' | 'onOpen'>;
}

/** A peer that sends a byte now and then never runs into a socket timeout. Slower than this is given up. */
const STALL_BYTES = 1024;
const STALL_MS = 60_000;

/**
 * Streams one blob from one source to all sinks at the pace of the slowest, hashing and counting on the way.
 *
 * A sink that fails drops out and the others go on. The last part is held back until size and digest are right, so that
 * wrong bytes never complete an upload. The source stops while parts of it are with a sink, or wait for the gate, so
 * memory is what it lets go of at once, whatever the blob's size.
 *
 * @returns for each sink, in order: undefined, or why it failed. A failure of the source is every sink's failure. Never
 *   rejects.
 */
export async function pumpBlob(options: PumpOptions): Promise<Array<TranshipError | undefined>> {
  const alive = new Set<Outlet>();
  const outlets = options.sinks.map((sink): Outlet => ({ sink, pipe: createBytePipe(), error: undefined }));
  for (const outlet of outlets) alive.add(outlet);
  let running: Array<Promise<void>> | undefined;
  let isRead = false;

  async function run(outlet: Outlet): Promise<void> {
    const { sink, pipe } = outlet;
    try {
      await sink(pipe.source);
    } catch (error) {
      outlet.error ??= toTranshipError(error);
    }
    alive.delete(outlet);
    pipe.source.cancel();
    // Nobody is left to write to, so the source need not be read to its end.
    if (alive.size === 0 && !isRead) flow.onNoTakers?.();
  }

  /** Not before there is something to take: a connection that waits for its first byte may be closed by its peer. */
  function begin(): void {
    running ??= outlets.map(run);
  }

  /** A part is done when all sinks are done with it. */
  function put({ bytes, done }: Part): void {
    let holders = alive.size;
    if (holders === 0) {
      done();
      return;
    }
    const release = () => {
      holders -= 1;
      if (holders === 0) done();
    };
    for (const { pipe } of [...alive]) pipe.put(bytes, release);
    // After the first part is there: it goes out in one write with the head of its request.
    begin();
  }

  const flow: Flow = {
    put,
    end() {
      isRead = true;
      begin();
      for (const { pipe } of [...alive]) pipe.end();
    },
    hasTakers: () => alive.size > 0,
    onNoTakers: undefined,
  };
  await feedOutlets(options, flow).catch((error: unknown) => {
    const failure = options.signal.aborted ? abortedError(options.signal) : toTranshipError(error);
    for (const outlet of [...alive]) {
      outlet.error = failure;
      outlet.pipe.fail(failure);
    }
  });
  await Promise.all(running ?? []);
  return outlets.map(({ error }) => error);
}

/** Bytes of a blob; `done` tells the source that their memory may be used again. */
interface Part {
  bytes: Buffer;
  done: () => void;
}

/** One sink, what it is fed by, and why it failed. */
interface Outlet {
  sink: Sink;
  pipe: BytePipe;
  error: TranshipError | undefined;
}

/** The sinks together, as the source sees them. */
interface Flow {
  put(part: Part): void;
  end(): void;
  hasTakers(): boolean;
  /**
   * Called when the last of them has gone before the end. A signal for each blob would cost as much as the hash of a
   * small one.
   */
  onNoTakers: (() => void) | undefined;
}

async function feedOutlets(options: PumpOptions, flow: Flow): Promise<void> {
  const { digest, size, signal } = options;
  const hash: RunningHash = options.start?.hash ?? hashFor(digest);
  let taken = options.start?.offset ?? 0;
  let held: Part | undefined;
  let resumesLeft = options.resumes ?? 2;

  const take = (part: Part) => {
    taken += part.bytes.length;
    if (taken > size) {
      part.done();
      throw wrongSize(digest, size, `at least ${taken}`);
    }
    hash.update(part.bytes);
    options.onBytes?.(part.bytes.length);
    if (held !== undefined) flow.put(held);
    held = part;
  };

  /** Opens the source where it broke off, or at its start, and reads to its end. */
  const readOn = async () => {
    const { body, offset, size: length } = await options.open(taken, signal);
    // A whole body of another length need not be moved to find that out.
    if (offset === 0 && length !== undefined && length !== size) {
      body.cancel();
      throw wrongSize(digest, size, String(length));
    }
    const { gate, stallMs = STALL_MS, onRead } = options;
    await readSource(body, { skip: taken - offset, take, signal, stallMs, gate, onRead, flow });
    if (taken < size) throw wrongSize(digest, size, String(taken));
  };

  try {
    // A range behind the last byte would be refused.
    const isReadBefore = taken > 0 && taken === size;
    while (flow.hasTakers() && !isReadBefore) {
      const before = taken;
      const failure = await readOn().then(() => undefined, toTranshipError);
      if (failure === undefined) break;
      const canResume =
        failure.class === 'transient' && taken > before && taken < size && !signal.aborted && resumesLeft > 0;
      if (!canResume) throw failure;
      resumesLeft -= 1;
    }
    if (!flow.hasTakers()) return;
    const actual = `${digest.slice(0, digest.indexOf(':'))}:${hash.digest('hex')}`;
    if (actual !== digest) {
      throw new TranshipError(`the source sent bytes with digest ${actual} where ${digest} was asked for`, {
        class: 'transient',
        code: 'digest-mismatch',
        mend: SPOILT_BLOB,
      });
    }
    if (held !== undefined) flow.put(held);
    held = undefined;
    flow.end();
  } finally {
    held?.done();
  }
}

interface ReadOptions {
  /** Bytes at the start that were taken before. */
  skip: number;
  take: (part: Part) => void;
  signal: AbortSignal;
  stallMs: number;
  gate: PumpOptions['gate'];
  onRead: PumpOptions['onRead'];
  flow: Pick<Flow, 'hasTakers' | 'onNoTakers'>;
}

/** Hands the parts of one body on, but none while the gate is shut. */
function readSource(
  body: ByteSource,
  { take, signal, stallMs, gate, onRead, flow, ...options }: ReadOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const waiting: Part[] = [];
    let { skip } = options;
    let sinceCheck = 0;
    let hasEnded = false;
    let isOver = false;
    const watchdog = setInterval(() => {
      if (sinceCheck < STALL_BYTES) finish(stalled(stallMs));
      sinceCheck = 0;
    }, stallMs);
    const cutOff = () => finish(abortedError(signal));
    const ignoreSignal = onAbort(signal, cutOff);
    flow.onNoTakers = cutOff;
    const finish = (error?: unknown) => {
      if (isOver) return;
      isOver = true;
      clearInterval(watchdog);
      ignoreSignal();
      flow.onNoTakers = undefined;
      unwatch?.();
      for (const { done } of waiting) done();
      if (error === undefined) return resolve();
      body.cancel();
      reject(error);
    };
    const pass = ({ bytes, done }: Part) => {
      sinceCheck += bytes.length;
      onRead?.(bytes.length);
      const left = Math.max(0, bytes.length - skip);
      const rest = bytes.subarray(bytes.length - left);
      skip -= bytes.length - left;
      if (left === 0) return done();
      try {
        take({ bytes: rest, done });
      } catch (error) {
        finish(error);
      }
    };
    const unwatch = gate?.onOpen(() => {
      while (!isOver && !gate.isShut()) {
        const part = waiting.shift();
        if (part === undefined) break;
        pass(part);
      }
      if (hasEnded && waiting.length === 0) finish();
    });
    // The last may have gone while the source was opened again.
    if (signal.aborted || !flow.hasTakers()) return cutOff();
    body.flow({
      take(bytes, done) {
        const part = { bytes, done };
        if (waiting.length > 0 || gate?.isShut()) waiting.push(part);
        else pass(part);
      },
      end() {
        hasEnded = true;
        if (waiting.length === 0) finish();
      },
      fail: (error) => finish(brokenSource(error)),
    });
  });
}

function wrongSize(digest: Digest, size: number, actual: string): TranshipError {
  return new TranshipError(`the source has ${actual} bytes of ${digest}, and its manifest says ${size}`, {
    class: 'transient',
    code: 'size-mismatch',
    mend: SPOILT_BLOB,
  });
}

function stalled(stallMs: number): TranshipError {
  return new TranshipError(`fewer than ${STALL_BYTES} bytes moved in ${stallMs / 1000} s`, {
    class: 'transient',
    code: 'stalled',
  });
}

function brokenSource(cause: Error): TranshipError {
  if (cause instanceof TranshipError) return cause;
  return new TranshipError(`the source broke off: ${cause.message}`, {
    class: 'transient',
    code: 'network',
    cause,
  });
}
