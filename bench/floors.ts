import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { startBytePeer } from './byte-peer.ts';
import { startCheapRegistry } from './cheap-registry.ts';

/**
 * What a plain relay on Node takes, in CPU seconds, with nothing around it. A guide, not a bound: it varies from run to run.
 */
export interface Floors {
  /** A GiB from one socket to another, with its sha256 on the way. */
  gib: number;
  /** The same with TLS on both. */
  gibTls: number;
  /** A request without a body and its response, on a connection that is kept. */
  request: number;
}

const MIB = 256;
const SLAB_BYTES = 256 * 1024;
const REQUESTS = 20_000;
const CONNECTIONS = 16;

/** Takes a few seconds. What serves is on other threads, and is not counted. */
export async function measureFloors(): Promise<Floors> {
  return { gib: await relay(false), gibTls: await relay(true), request: await ask() };
}

async function relay(tls: boolean): Promise<number> {
  const [source, sink] = await Promise.all([startBytePeer({ tls, bytes: MIB * 2 ** 20 }), startBytePeer({ tls })]);
  const before = process.threadCpuUsage();
  await new Promise<void>((resolve, reject) => {
    const to = open(tls, sink.port);
    const hash = createHash('sha256');
    const slabs = [Buffer.allocUnsafeSlow(SLAB_BYTES), Buffer.allocUnsafeSlow(SLAB_BYTES)];
    let at = 0;
    let writing = 0;
    let left = MIB * 2 ** 20;
    const from = open(tls, source.port, {
      buffer: () => slabs[at] ?? Buffer.alloc(0),
      callback(length, buffer) {
        const bytes = (buffer as Buffer).subarray(0, length);
        hash.update(bytes);
        left -= length;
        at = (at + 1) % slabs.length;
        writing += 1;
        if (writing === slabs.length) from.pause();
        to.write(bytes, () => {
          writing -= 1;
          from.resume();
          if (left > 0 || writing > 0) return;
          from.destroy();
          to.destroy();
          resolve();
        });
        return true;
      },
    });
    for (const socket of [from, to]) socket.on('error', reject);
    from.write('go');
  });
  const { user, system } = process.threadCpuUsage(before);
  await Promise.all([source.close(), sink.close()]);
  return ((user + system) / 1e6) * (1024 / MIB);
}

type OnRead = { buffer: () => Buffer; callback: (length: number, buffer: Uint8Array) => boolean };

function open(tls: boolean, port: number, onread?: OnRead): Socket {
  const options = { host: '127.0.0.1', port, ...(onread && { onread }) };
  return tls ? connectTls({ ...options, rejectUnauthorized: false } as object) : connect(options);
}

async function ask(): Promise<number> {
  const registry = await startCheapRegistry({ tags: 1 });
  const [host, port] = registry.host.split(':');
  const head = 'HEAD /v2/bench/app/manifests/v1 HTTP/1.1\r\nHost: any\r\n\r\n';
  let left = REQUESTS;
  const before = process.threadCpuUsage();
  const run = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(Number(port), host ?? '');
      socket.setNoDelay(true);
      socket.on('error', reject);
      const next = () => {
        left -= 1;
        if (left >= 0) return socket.write(head);
        socket.destroy();
        resolve();
      };
      socket.on('data', next);
      next();
    });
  await Promise.all(Array.from({ length: CONNECTIONS }, run));
  const { user, system } = process.threadCpuUsage(before);
  await registry.close();
  return (user + system) / 1e6 / REQUESTS;
}
