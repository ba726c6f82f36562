import { Readable } from 'node:stream';
import { hashFor } from '../model/digest.ts';
import { TranshipError, toTranshipError } from '../model/errors.ts';
import type { Digest } from '../model/reference.ts';
import { abortedError } from '../registry/abort.ts';
import type { Gate } from './gate.ts';
import { noteGarbage } from './young-garbage.ts';

/**
 * Opens the blob at an offset. The body may begin before it, at a registry without ranges, but never behind it.
 * `size`: bytes of the body, where that is known.
 */
export type OpenSource = (
  offset: number,
  signal: AbortSignal,
) => Promise<{ body: Readable; offset: number; size?: number }>;

/** Hashes bytes as they come; `digest` ends it. */
export interface RunningHash {
  update(bytes: Buffer): unknown;
  digest(encoding: 'hex'): string;
}

/** Takes all bytes of the stream it is given. Settles when its registry has responded. */
export type Sink = (body: Readable) => Promise<void>;

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
 * A sink that fails drops out and the others go on. The last chunk is held back until size and digest are right, so
 * that wrong bytes never complete an upload. Memory is one chunk a sink beyond the sockets' own buffers: the source is
 * paused while any sink is full, or the gate is shut. The sinks run before a `data` listener is attached, since the
 * listener starts the flow.
 *
 * @returns for each sink, in order: undefined, or why it failed. A failure of the source is every sink's failure. Never
 *   rejects.
 */
export async function pumpBlob(options: PumpOptions): Promise<Array<TranshipError | undefined>> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  let wake: (() => void) | undefined;
  // A stream is full when push() says so, until it reads again. Its length would not do: inside read() it is not yet up
  // to date, and read() is not called a second time before a push.
  const full = new Set<Readable>();
  const alive = new Set<Readable>();
  const outlets = options.sinks.map((sink) => {
    const stream = new Readable({
      highWaterMark: 64 * 1024,
      read() {
        full.delete(stream);
        wake?.();
      },
    });
    // The sink reports its failures itself. Ours reach it through destroy().
    stream.on('error', () => {});
    alive.add(stream);
    const outlet: Outlet = { sink, stream, error: undefined };
    return outlet;
  });

  async function run(outlet: Outlet): Promise<void> {
    const { sink, stream } = outlet;
    try {
      await sink(stream);
    } catch (error) {
      outlet.error ??= toTranshipError(error);
    }
    alive.delete(stream);
    full.delete(stream);
    stream.destroy();
    wake?.();
    // Nobody is left to write to, so the source need not be read to its end.
    if (alive.size === 0) stop.abort();
  }

  const running = outlets.map(run);
  const unwatch = options.gate?.onOpen(() => wake?.());
  const feeding = feedOutlets(
    { ...options, signal },
    {
      push(chunk) {
        for (const stream of alive) if (!stream.push(chunk)) full.add(stream);
      },
      hasTakers: () => alive.size > 0,
      isReady: () => full.size === 0 && options.gate?.isShut() !== true,
      onWake(callback) {
        wake = callback;
      },
    },
  );
  await feeding.catch((error: unknown) => {
    const failure = options.signal.aborted ? abortedError(options.signal) : toTranshipError(error);
    for (const outlet of outlets) {
      if (!alive.has(outlet.stream)) continue;
      outlet.error = failure;
      outlet.stream.destroy(failure);
    }
  });
  unwatch?.();
  await Promise.all(running);
  return outlets.map(({ error }) => error);
}

/** One sink, the stream that it reads, and why it failed. */
interface Outlet {
  sink: Sink;
  stream: Readable;
  error: TranshipError | undefined;
}

/** The sinks together, as the source sees them. */
interface Flow {
  push(chunk: Buffer | null): void;
  hasTakers(): boolean;
  isReady(): boolean;
  onWake(callback: (() => void) | undefined): void;
}

async function feedOutlets(options: PumpOptions, flow: Flow): Promise<void> {
  const { digest, size, signal } = options;
  const hash: RunningHash = options.start?.hash ?? hashFor(digest);
  let taken = options.start?.offset ?? 0;
  let held: Buffer | undefined;
  let resumesLeft = options.resumes ?? 2;

  const take = (chunk: Buffer) => {
    taken += chunk.length;
    if (taken > size) throw wrongSize(digest, size, `at least ${taken}`);
    hash.update(chunk);
    options.onBytes?.(chunk.length);
    noteGarbage(chunk.length);
    if (held !== undefined) flow.push(held);
    held = chunk;
  };

  /** Opens the source where it broke off, or at its start, and reads to its end. */
  const readOn = async () => {
    const { body, offset, size: length } = await options.open(taken, signal);
    // A whole body of another length need not be moved to find that out.
    if (offset === 0 && length !== undefined && length !== size) {
      body.on('error', () => {}).destroy();
      throw wrongSize(digest, size, String(length));
    }
    await readBody(body, { skip: taken - offset, take, flow, signal, stallMs: options.stallMs ?? STALL_MS });
    if (taken < size) throw wrongSize(digest, size, String(taken));
  };

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
    });
  }
  if (held !== undefined) flow.push(held);
  flow.push(null);
}

interface ReadOptions {
  /** Bytes at the start that were taken before. */
  skip: number;
  take: (chunk: Buffer) => void;
  flow: Flow;
  signal: AbortSignal;
  stallMs: number;
}

/** Hands the chunks of one response on, paused while a sink is full. */
function readBody(body: Readable, options: ReadOptions): Promise<void> {
  const { flow } = options;
  return new Promise((resolve, reject) => {
    let skip = options.skip;
    let sinceCheck = 0;
    const watchdog = setInterval(() => {
      if (sinceCheck < STALL_BYTES) finish(stalled(options.stallMs));
      sinceCheck = 0;
    }, options.stallMs);
    const onAbort = () => finish(abortedError(options.signal));
    const finish = (error?: unknown) => {
      clearInterval(watchdog);
      options.signal.removeEventListener('abort', onAbort);
      flow.onWake(undefined);
      body.removeListener('data', onData);
      if (error === undefined) return resolve();
      // A late error of a body that is given up has no reader.
      body.on('error', () => {});
      body.destroy();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      sinceCheck += chunk.length;
      try {
        if (skip >= chunk.length) {
          skip -= chunk.length;
        } else {
          options.take(skip > 0 ? chunk.subarray(skip) : chunk);
          skip = 0;
        }
      } catch (error) {
        return finish(error);
      }
      if (!flow.isReady()) body.pause();
    };
    flow.onWake(() => {
      if (body.isPaused() && flow.isReady()) body.resume();
    });
    options.signal.addEventListener('abort', onAbort, { once: true });
    body.once('error', (error) => finish(brokenSource(error)));
    body.once('end', () => finish());
    body.once('close', () => finish(brokenSource(undefined)));
    if (options.signal.aborted) return onAbort();
    body.on('data', onData);
  });
}

function wrongSize(digest: Digest, size: number, actual: string): TranshipError {
  return new TranshipError(`the source has ${actual} bytes of ${digest}, and its manifest says ${size}`, {
    class: 'transient',
    code: 'size-mismatch',
  });
}

function stalled(stallMs: number): TranshipError {
  return new TranshipError(`fewer than ${STALL_BYTES} bytes moved in ${stallMs / 1000} s`, {
    class: 'transient',
    code: 'stalled',
  });
}

function brokenSource(cause: Error | undefined): TranshipError {
  if (cause instanceof TranshipError) return cause;
  return new TranshipError(`the source broke off${cause ? `: ${cause.message}` : ''}`, {
    class: 'transient',
    code: 'network',
    cause,
  });
}
