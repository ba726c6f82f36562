import { onAbort } from '../../abort.ts';
import type { Connection } from './connection.ts';
import { wireError } from './wire-error.ts';

/** Connections to one origin. */
export interface Pool {
  /** A connection that is free now. */
  takeIdle(): Connection | undefined;
  /**
   * A connection that is free, as soon as there is one: callers get them in the order in which they ask.
   * @throws what opening one failed with; the reason of the signal
   */
  take(signal: AbortSignal | undefined): Promise<Connection>;
  /** Closes all, also those at work. */
  close(): void;
}

export interface PoolOptions {
  /** Opens a connection that tells the pool what becomes of it. */
  open(events: {
    onFree: (connection: Connection, idleMs?: number) => void;
    onClosed: (connection: Connection) => void;
  }): Promise<Connection>;
  most: number;
  /** How long a connection is kept without a request at most. */
  maxIdleMs: number;
  /** Nothing is left: neither connections nor callers. */
  onEmpty(): void;
}

/** Where the peer does not say. Servers mostly close idle connections after 5 s (Node, Apache) or more. */
const DEFAULT_IDLE_MS = 4000;
/** A request must arrive before the peer closes. */
const IDLE_MARGIN_MS = 1000;

interface Caller {
  settle(connection: Connection): void;
  reject(error: unknown): void;
  /** Stops waiting for its signal. */
  ignoreSignal: (() => void) | undefined;
}

export function createPool(options: PoolOptions): Pool {
  /** The latest to become free is the last, and is taken first: the others may grow old. */
  const idle: Array<{ connection: Connection; until: number }> = [];
  const all = new Set<Connection>();
  const callers: Caller[] = [];
  let opening = 0;
  let isClosed = false;
  let sweeper: NodeJS.Timeout | undefined;

  function nextCaller(): Caller | undefined {
    const caller = callers.shift();
    caller?.ignoreSignal?.();
    return caller;
  }

  function onFree(connection: Connection, hintMs?: number): void {
    const caller = nextCaller();
    if (caller !== undefined) {
      caller.settle(connection);
      return;
    }
    const idleMs = Math.min(hintMs === undefined ? DEFAULT_IDLE_MS : hintMs - IDLE_MARGIN_MS, options.maxIdleMs);
    if (idleMs <= 0) {
      connection.close();
      return;
    }
    idle.push({ connection, until: performance.now() + idleMs });
    sweeper ??= setTimeout(sweep, idleMs).unref();
  }

  /** Closes what has been idle for too long. */
  function sweep(): void {
    sweeper = undefined;
    const now = performance.now();
    for (const { connection, until } of [...idle]) if (until <= now) connection.close();
    const next = Math.min(...idle.map(({ until }) => until));
    if (idle.length > 0) sweeper = setTimeout(sweep, Math.max(1, next - now)).unref();
  }

  function onClosed(connection: Connection): void {
    all.delete(connection);
    const at = idle.findIndex((one) => one.connection === connection);
    if (at !== -1) idle.splice(at, 1);
    openMore();
    endIfEmpty();
  }

  function endIfEmpty(): void {
    if (all.size > 0 || opening > 0 || callers.length > 0) return;
    clearTimeout(sweeper);
    sweeper = undefined;
    options.onEmpty();
  }

  /** Opens as many as callers wait for. */
  function openMore(): void {
    while (!isClosed && opening < callers.length && all.size + opening < options.most) {
      opening += 1;
      options.open({ onFree, onClosed }).then(
        (connection) => {
          opening -= 1;
          all.add(connection);
          if (isClosed) connection.close();
          else onFree(connection);
        },
        (error: unknown) => {
          opening -= 1;
          nextCaller()?.reject(error);
          openMore();
          endIfEmpty();
        },
      );
    }
  }

  function takeIdle(): Connection | undefined {
    const now = performance.now();
    for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
      if (last.until > now) return last.connection;
      last.connection.close();
    }
    return undefined;
  }

  return {
    takeIdle,
    take(signal) {
      const free = takeIdle();
      if (free !== undefined) return Promise.resolve(free);
      return new Promise((settle, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        if (isClosed) return reject(wireError('HUNG_UP', 'the client is closed'));
        const leave = () => {
          callers.splice(callers.indexOf(caller), 1);
          reject(signal?.reason);
        };
        const caller: Caller = { settle, reject, ignoreSignal: signal && onAbort(signal, leave) };
        callers.push(caller);
        openMore();
      });
    },
    close() {
      isClosed = true;
      for (const connection of [...all]) connection.close();
      for (let caller = nextCaller(); caller !== undefined; caller = nextCaller()) {
        caller.reject(wireError('HUNG_UP', 'the client is closed'));
      }
    },
  };
}
