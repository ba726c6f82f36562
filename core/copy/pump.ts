import { Readable } from 'node:stream';
import { hashFor } from '../model/digest.ts';
import { TranshipError, toTranshipError } from '../model/errors.ts';
import type { Digest } from '../model/reference.ts';
import { abortedError } from '../registry/abort.ts';
import type { Gate } from './gate.ts';
import { noteGarbage } from './young-garbage.ts';

/** Opens the blob at an offset; the answer may begin earlier than asked, never later (a registry without Range). */
export type OpenSource = (offset: number, signal: AbortSignal) => Promise<{ body: Readable; offset: number }>;

/** Takes all bytes of the stream it is given; settles when its registry has answered. */
export type Sink = (body: Readable) => Promise<void>;

export interface PumpOptions {
  open: OpenSource;
  digest: Digest;
  /** Bytes. */
  size: number;
  sinks: Sink[];
  signal: AbortSignal;
  onBytes?: (bytes: number) => void;
  /** How often a source that breaks in the middle is opened again at the place where it broke. */
  resumes?: number;
  /** With fewer than {@link STALL_BYTES} moved in this time the blob fails as `stalled`. */
  stallMs?: number;
  /** While it is shut no more is read. */
  gate?: Pick<Gate, 'isShut' | 'onOpen'>;
}

/** A peer that drips a byte now and then keeps every socket timeout content; this is the floor below which we stop. */
const STALL_BYTES = 1024;
const STALL_MS = 60_000;

/**
 * Streams one blob from one source to all sinks at the pace of the slowest, hashing and counting on the way.
 *
 * A sink that fails drops out and the others go on. The last chunk is held back until size and digest are right, so
 * that wrong bytes never complete an upload. Memory is one chunk a sink beyond the sockets' own buffers: the source is
 * paused while any sink is full, or the gate is shut. No `data` listener is attached before the sinks run (style: a
 * listener starts the flow).
 *
 * @returns per sink, in order: undefined, or why it failed. A failure of the source is every sink's failure.
 */
export async function pumpBlob(options: PumpOptions): Promise<Array<TranshipError | undefined>> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  let wake: (() => void) | undefined;
  const outlets = options.sinks.map(() => {
    const outlet = new Readable({
      highWaterMark: 64 * 1024,
      read() {
        full.delete(outlet);
        wake?.();
      },
    });
    return outlet;
  });
  const alive = new Set(outlets);
  // Full is who said so to push(), until it reads again. Its length would not do: at the time of read() it is not yet
  // what it will be, and read() is not called a second time before a push.
  const full = new Set<Readable>();
  const errors: Array<TranshipError | undefined> = outlets.map(() => undefined);

  const settled = options.sinks.map(async (sink, index) => {
    const outlet = outlets[index] as Readable;
    // The consumer reports its own failure; ours reaches it through destroy().
    outlet.on('error', () => {});
    try {
      await sink(outlet);
    } catch (error) {
      errors[index] ??= toTranshipError(error);
    }
    alive.delete(outlet);
    full.delete(outlet);
    outlet.destroy();
    wake?.();
    // Nobody left to write to: the source need not be read to its end.
    if (alive.size === 0) stop.abort();
  });

  const push = (chunk: Buffer | null) => {
    for (const outlet of alive) if (!outlet.push(chunk)) full.add(outlet);
  };
  const flow: Flow = {
    push,
    hasTakers: () => alive.size > 0,
    isReady: () => full.size === 0 && options.gate?.isShut() !== true,
    onWake: (callback) => {
      wake = callback;
    },
  };
  const unwatch = options.gate?.onOpen(() => wake?.());
  const feed = feedOutlets({ ...options, signal }, flow);
  await feed.catch((error: unknown) => {
    const failure = options.signal.aborted ? abortedError(options.signal) : toTranshipError(error);
    for (const [index, outlet] of outlets.entries()) {
      if (!alive.has(outlet)) continue;
      errors[index] = failure;
      outlet.destroy(failure);
    }
  });
  unwatch?.();
  await Promise.all(settled);
  return errors;
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
  const hash = hashFor(digest);
  let taken = 0;
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

  while (flow.hasTakers()) {
    const before = taken;
    try {
      const { body, offset } = await options.open(taken, signal);
      await readBody(body, {
        skip: taken - offset,
        take,
        flow,
        signal,
        stallMs: options.stallMs ?? STALL_MS,
      });
      if (taken < size) throw wrongSize(digest, size, String(taken));
      break;
    } catch (error) {
      const failure = toTranshipError(error);
      const canResume =
        failure.class === 'transient' && taken > before && taken < size && !signal.aborted && resumesLeft > 0;
      if (!canResume) throw failure;
      resumesLeft -= 1;
    }
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
  /** Bytes at the start that are known already. */
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
  return new TranshipError(`the source sent ${actual} bytes of ${digest}, whose manifest says ${size}`, {
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
