import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { configurationError, TranshipError } from '../../core/model/errors.ts';

export interface Address {
  /** Empty for all addresses of the machine, IPv6 and IPv4. */
  host: string;
  /** 0 for any free one. */
  port: number;
}

export interface Listener {
  url: string;
  /** Takes no more connections and gives those that are open a moment to end. */
  close(): Promise<void>;
}

/** A whole request, body included. The senders' own time limits are 3 to 30 s. */
const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5_000;
/** Node looks for requests that are too slow this often. Its default, 30 s, lets one live for 40 s. */
const LOOK_EVERY_MS = 500;
const KEEP_ALIVE_MS = 10_000;
/** For a client that does not read its response. */
const SILENCE_MS = 15_000;
const CLOSE_WITHIN_MS = 2_000;
const MAX_CONNECTIONS = 2_000;

/**
 * Serves HTTP requests at an address. Slow clients cannot shut others out: a request has 10 s, and when the connections
 * are as many as are held, the oldest one that is idle or still sends its request makes room for a new one.
 *
 * @param handle answers a request; where it throws, the connection is closed
 * @throws TranshipError `configuration` where this user may not listen there; `permanent` where it cannot be done now,
 *   as when the port is taken
 */
export async function listen(
  { host, port }: Address,
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  { maxConnections = MAX_CONNECTIONS }: { maxConnections?: number } = {},
): Promise<Listener> {
  const connections = createConnections(maxConnections);
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: LOOK_EVERY_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: 16 * 1024,
    },
    (request, response) => {
      connections.note(request, response);
      handle(request, response).catch(() => {
        // The client went away, or took too long.
        request.destroy();
      });
    },
  );
  server.timeout = SILENCE_MS;
  server.on('connection', connections.add);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: host === '' ? undefined : host }, () => resolve());
  }).catch((cause: NodeJS.ErrnoException) => {
    throw explain(`${host}:${port}`, cause);
  });
  return {
    url: urlOf(server.address()),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS);
      await closed;
      clearTimeout(late);
    },
  };
}

/** The open connections, those without news for the longest time first. */
function createConnections(max: number) {
  const requests = new Map<Socket, IncomingMessage | undefined>();

  function set(socket: Socket, request: IncomingMessage | undefined): void {
    requests.delete(socket);
    if (!socket.destroyed) requests.set(socket, request);
  }

  /** Closes the first that waits for its client: idle, or with a request that is not here whole. */
  function makeRoom(): void {
    for (const [socket, request] of requests) {
      if (request?.complete === true) continue;
      requests.delete(socket);
      socket.destroy();
      return;
    }
  }

  return {
    add(socket: Socket): void {
      if (requests.size >= max) makeRoom();
      if (requests.size >= max) {
        socket.destroy();
        return;
      }
      set(socket, undefined);
      socket.once('close', () => requests.delete(socket));
    },
    note(request: IncomingMessage, response: ServerResponse): void {
      // A request does not make its connection young: one that sends little by little is still the oldest.
      if (requests.has(request.socket)) requests.set(request.socket, request);
      response.once('close', () => set(request.socket, undefined));
    },
  };
}

function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') return String(address);
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

/**
 * A port that is taken, or an address that is not there yet, may be free at the next start; a right that lacks will
 * not.
 */
function explain(address: string, cause: NodeJS.ErrnoException): TranshipError {
  const message = `cannot listen on ${address}: ${cause.code ?? cause.message}`;
  if (cause.code === 'EACCES' || cause.code === 'EPERM') {
    return configurationError(message, { mend: 'Give a port from 1024 on, or let this user listen there.', cause });
  }
  const mend = 'Stop the program that has the address, or give a free address of this machine.';
  return new TranshipError(message, { class: 'permanent', code: 'network', mend, cause });
}
