import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

export interface BytePeer {
  tls: boolean;
  /** What it sends when something has come; without it, it takes all that comes. */
  bytes?: number;
}

const PART_BYTES = 256 * 1024;

/** The other end of a measured connection, on a thread of its own. */
export function startBytePeer(peer: BytePeer): Promise<{ port: number; close(): Promise<unknown> }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: peer });
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (port: number) => resolve({ port, close: () => worker.terminate() }));
  });
}

function serve({ tls, bytes }: BytePeer): void {
  const onSocket = (socket: Socket) => {
    socket.on('error', () => {});
    if (bytes === undefined) socket.resume();
    else socket.once('data', () => sendAll(socket, bytes));
  };
  const file = (name: string) => readFileSync(new URL(`../test/support/fixtures/${name}`, import.meta.url));
  const server = tls
    ? createTlsServer({ cert: file('server.pem'), key: file('server-key.pem') }, onSocket)
    : createServer(onSocket);
  server.listen(0, '127.0.0.1', () => parentPort?.postMessage((server.address() as AddressInfo).port));
}

function sendAll(socket: Socket, bytes: number): void {
  const part = Buffer.alloc(PART_BYTES, 'x');
  let left = bytes;
  const next = () => {
    if (left <= 0) return;
    left -= part.length;
    socket.write(part, next);
  };
  next();
}

if (!isMainThread) serve(workerData);
