import type { Socket } from 'node:net';
import { onAbort } from '../../abort.ts';
import { type ByteSource, noBytes } from '../byte-source.ts';
import { createIncomingBody, type IncomingBody } from './incoming-body.ts';
import { landingOf, type Slab } from './landing.ts';
import { readBeforeClosing } from './late-answer.ts';
import { isStreamed, type StreamedBody, sendBody, sendWhole, type WholeBody } from './outgoing-body.ts';
import type { ResponseHead } from './response-head.ts';
import { createResponseReader } from './response-reader.ts';
import { type WireErrorCode, wireError } from './wire-error.ts';
import { noteGarbage } from './young-garbage.ts';

/** A request as it goes out on a connection. */
export interface Http1Request {
  method: string;
  /** Request line and headers, with the empty line at their end. */
  head: string;
  body?: WholeBody | StreamedBody;
  /** For the head of the response to come, once the request is sent. */
  headTimeoutMs: number;
  /** For more bytes of the response's body to come, or of the request's to be taken. */
  stallMs: number;
  signal?: AbortSignal;
}

export interface Http1Response {
  status: number;
  headers: ResponseHead['headers'];
  body: ByteSource;
}

/** One socket, and one request at a time on it. */
export interface Connection {
  /** False for its first request: a peer that closes it then does not do so for having waited. */
  isUsed(): boolean;
  /**
   * Sends a request. The body of the response must be taken or cancelled.
   * @throws WireError, or what the socket or the request's body failed with; the reason of its signal
   */
  request(request: Http1Request): Promise<Http1Response>;
  close(): void;
}

export interface ConnectionEvents {
  /**
   * It can take the next request.
   * @param idleMs for how long the peer keeps it open, where it says so
   */
  onFree(connection: Connection, idleMs: number | undefined): void;
  onClosed(connection: Connection): void;
}

/** What is under way. */
interface Exchange {
  request: Http1Request;
  settle: (response: Http1Response) => void;
  reject: (error: unknown) => void;
  hasHead: boolean;
  body: IncomingBody | undefined;
  /** The request was handed to the socket as a whole. */
  isSent: boolean;
  isReceived: boolean;
  keepsAlive: boolean;
  idleMs: number | undefined;
}

/** How long the peer may be silent, and what it means when it is so for longer. */
interface Silence {
  ms: number;
  code: WireErrorCode;
  message: string;
}

/** Longer bodies land in slabs. */
const SLABS_FROM_BYTES = 32 * 1024;

export function createConnection(socket: Socket, events: ConnectionEvents): Connection {
  const landing = landingOf(socket);
  let current: Exchange | undefined;
  let isUsed = false;
  let isClosed = false;
  /** That the bytes have landed in which are being read. */
  let slab: Slab | undefined;
  let silence: Silence | undefined;
  /** When the silence has been too long, by performance.now(). */
  let due = 0;
  /** Comes when something may be due. To set and clear one for each request would be a tenth of what a request costs. */
  let timer: { comesAt: number; stop: () => void } | undefined;
  /** The signal of the latest request. It is the same for most, so it is listened to beyond one. */
  let signal: AbortSignal | undefined;
  let ignoreSignal: (() => void) | undefined;

  const reader = createResponseReader({
    onHead,
    onBytes: (buffer, start, end) => current?.body?.put(buffer, start, end, slab),
    onEnd() {
      if (current === undefined) return;
      current.isReceived = true;
      current.body?.end();
    },
  });

  function watch(ms: number, code: WireErrorCode, message: string): void {
    silence = { ms, code, message };
    putOff();
  }

  function unwatch(): void {
    silence = undefined;
  }

  /** The peer was heard, so it may be silent anew. */
  function putOff(): void {
    if (silence === undefined) return;
    due = performance.now() + silence.ms;
    if (timer === undefined || timer.comesAt > due) startTimer(silence.ms);
  }

  function startTimer(ms: number): void {
    timer?.stop();
    // The socket keeps the process alive, not this.
    const timeout = setTimeout(onTimer, ms).unref();
    timer = { comesAt: performance.now() + ms, stop: () => clearTimeout(timeout) };
  }

  function onTimer(): void {
    timer = undefined;
    if (silence === undefined) return;
    const leftMs = due - performance.now();
    // Timers count whole milliseconds, and may come a part of one early.
    if (leftMs < 1) fail(wireError(silence.code, silence.message));
    else startTimer(Math.ceil(leftMs));
  }

  function heed(next: AbortSignal | undefined): void {
    if (next === signal) return;
    ignoreSignal?.();
    signal = next;
    ignoreSignal =
      next &&
      onAbort(next, () => {
        if (current?.request.signal === next) fail(next.reason);
      });
  }

  function watchHead({ request }: Exchange): void {
    watch(request.headTimeoutMs, 'HEAD_TIMEOUT', 'no response came');
  }

  function watchBody({ request }: Exchange): void {
    watch(request.stallMs, 'BODY_STALLED', 'no more bytes of the response came');
  }

  function fail(error: unknown): void {
    if (isClosed) return;
    isClosed = true;
    unwatch();
    timer?.stop();
    heed(undefined);
    socket.destroy();
    const failed = current;
    current = undefined;
    events.onClosed(connection);
    if (failed === undefined) return;
    const { body, reject } = failed;
    stopSending(failed, error);
    if (body === undefined) reject(error);
    else body.fail(error instanceof Error ? error : new Error(String(error)));
  }

  function close(): void {
    fail(wireError('HUNG_UP', 'the connection was closed'));
  }

  function stopSending({ request: { body }, isSent }: Exchange, reason?: unknown): void {
    if (isSent || !isStreamed(body)) return;
    body.source.cancel(reason instanceof Error ? reason : undefined);
  }

  /** The next request may come when this one is sent and its response is received. */
  function endIfDone(exchange: Exchange): void {
    if (exchange !== current || !exchange.isSent || !exchange.isReceived) return;
    unwatch();
    current = undefined;
    if (landing !== undefined) landing.usesSlabs = false;
    // The end of the body may have come after its taker was full.
    if (exchange.body?.isPaused()) socket.resume();
    if (!exchange.keepsAlive) {
      close();
      return;
    }
    socket.unref();
    events.onFree(connection, exchange.idleMs);
  }

  function onHead({ status, headers, framing, keepsAlive, idleMs }: ResponseHead): void {
    const exchange = current;
    if (exchange === undefined) return;
    exchange.hasHead = true;
    exchange.keepsAlive = keepsAlive;
    exchange.idleMs = idleMs;
    // A response that does not wait for the request's body is a refusal: the rest is not sent, and nothing reads memory
    // any more that is about to be used again.
    if (socket.writableLength > 0) exchange.keepsAlive = false;
    if (!exchange.isSent) {
      exchange.keepsAlive = false;
      stopSending(exchange);
      exchange.isSent = true;
    }
    if (framing.kind !== 'none' && !(framing.kind === 'length' && framing.bytes === 0)) {
      exchange.body = openBody(exchange);
      watchBody(exchange);
      const isLong = framing.kind !== 'length' || framing.bytes > SLABS_FROM_BYTES;
      if (landing !== undefined) landing.usesSlabs = isLong;
    }
    const body = exchange.body?.source ?? noBytes;
    exchange.settle({
      status,
      headers,
      body: framing.kind === 'close' ? { ...body, endsWithConnection: true } : body,
    });
  }

  function openBody(exchange: Exchange): IncomingBody {
    const controls = {
      pause() {
        socket.pause();
        unwatch();
      },
      resume() {
        socket.resume();
        watchBody(exchange);
      },
      cancel: close,
    };
    return createIncomingBody(controls, landing);
  }

  function onBytes(buffer: Buffer, start: number, end: number, landedIn: Slab | undefined): void {
    const exchange = current;
    if (exchange === undefined) {
      // Nobody asked.
      close();
      return;
    }
    slab = landedIn;
    try {
      const stopped = reader.read(buffer, start, end);
      // More than one response to one request: the connection is not to be trusted with another.
      if (stopped < end) exchange.keepsAlive = false;
    } catch (error) {
      fail(error);
      return;
    }
    if (exchange.isReceived) endIfDone(exchange);
    else if (exchange.hasHead) putOff();
  }

  function begin(exchange: Exchange): void {
    const { request } = exchange;
    const { body, head } = request;
    current = exchange;
    isUsed = true;
    reader.begin(request.method);
    heed(request.signal);
    socket.ref();
    if (isStreamed(body)) {
      // What is there of the body goes out with the head in one write.
      socket.cork();
      socket.write(head, 'latin1');
      exchange.isSent = body.length === 0;
      sendBody(socket, body, {
        isOver: () => exchange !== current || exchange.hasHead,
        onHanded: () => {
          exchange.isSent = true;
        },
        onWaiting: () => watch(request.stallMs, 'NOTHING_TAKEN', 'the peer takes no more bytes'),
        onTaken: () => (exchange.isSent ? watchHead(exchange) : unwatch()),
        onFailure: fail,
      });
      socket.uncork();
    } else {
      sendWhole(socket, head, body ?? []);
      exchange.isSent = true;
    }
    if (exchange.isSent && silence === undefined) watchHead(exchange);
  }

  /** The peer sends no more. */
  function onEnd(): void {
    const exchange = current;
    try {
      if (exchange !== undefined) reader.close();
    } catch (error) {
      fail(error);
      return;
    }
    if (exchange !== undefined) {
      exchange.keepsAlive = false;
      endIfDone(exchange);
    }
    close();
  }

  const connection: Connection = {
    isUsed: () => isUsed,
    close,
    request: (request) =>
      new Promise((settle, reject) => {
        const exchange: Exchange = {
          request,
          settle,
          reject,
          hasHead: false,
          body: undefined,
          isSent: false,
          isReceived: false,
          keepsAlive: true,
          idleMs: undefined,
        };
        if (isClosed) reject(wireError('HUNG_UP', 'the connection was closed'));
        else begin(exchange);
        if (request.signal?.aborted) fail(request.signal.reason);
      }),
  };

  readBeforeClosing(socket);
  socket.on('error', fail);
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  if (landing === undefined) {
    socket.on('data', (bytes: Buffer) => {
      onBytes(bytes, 0, bytes.length, undefined);
      noteGarbage(bytes.length);
    });
    socket.resume();
  } else {
    landing.onBytes = onBytes;
  }
  return connection;
}
