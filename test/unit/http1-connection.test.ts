import { createHash, randomBytes } from 'node:crypto';
import { connect, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createBytePipe } from '../../core/registry/wire/byte-source.ts';
import { type Connection, createConnection } from '../../core/registry/wire/http1/connection.ts';
import { createPool, type PoolOptions } from '../../core/registry/wire/http1/pool.ts';
import { bytesOf } from '../support/byte-sources.ts';
import { type RawRequest, rawServer } from '../support/raw-server.ts';
import { fixture } from '../support/tls-registry.ts';
import { wireClient } from '../support/wire-client.ts';

const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
const tls = { cert: fixture('server.pem'), key: fixture('server-key.pem') };

/** A server that answers with a path's name. */
const echo = ({ head, socket }: RawRequest) => {
  const path = head.split(' ')[1] ?? '';
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${path.length}\r\n\r\n${path}`);
};

describe('requests to one origin', () => {
  it('wait for a connection in the order in which they come', async () => {
    const seen: string[] = [];
    await using server = await rawServer((request) => {
      seen.push(request.head.split(' ')[1] ?? '');
      echo(request);
    });
    using client = wireClient({ most: 2 });
    const paths = Array.from({ length: 9 }, (_, index) => `/${index}`);
    const bodies = await Promise.all(paths.map(async (path) => (await client.ask(new URL(path, server.url))).body));
    expect(bodies).toEqual(paths);
    expect(seen).toEqual(paths);
    expect(server.connections()).toBe(2);
  });

  it('go out in one write, with a body that is not streamed', async () => {
    await using server = await rawServer(echo);
    using client = wireClient();
    const write = vi.spyOn(Socket.prototype, 'write');
    await client.send(new URL('/put', server.url), { method: 'PUT', body: [Buffer.from('all of it')] });
    const written = write.mock.calls.map(([bytes]) => String(bytes));
    write.mockRestore();
    expect(written.filter((text) => /^PUT|all of it/.test(text))).toEqual([
      expect.stringMatching(/^PUT \/put .*\r\n\r\nall of it$/s),
    ]);
  });

  it.each([1, 40, 400])('send bodies of every byte, %i times, as they are', async (times) => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const body = Array.from({ length: times }, () => every);
    let received: Buffer = Buffer.alloc(0);
    await using server = await rawServer(({ rest, socket }) => {
      received = rest;
      const more = (bytes: Buffer) => {
        received = Buffer.concat([received, bytes]);
        if (received.length >= 256 * times) socket.write(ok);
      };
      socket.removeAllListeners('data').on('data', more);
      more(Buffer.alloc(0));
    });
    using client = wireClient();
    await client.send(server.url, { method: 'PUT', body });
    expect(received.equals(Buffer.concat(body))).toBe(true);
  });

  it('leave their connection to no other where the answer comes before the peer has taken the body', async () => {
    await using server = await rawServer(({ socket }) => {
      socket.pause();
      socket.write(ok);
    });
    using client = wireClient({ most: 1 });
    const body = Array.from({ length: 16 }, () => Buffer.alloc(2 ** 20));
    for (let round = 0; round < 2; round += 1) {
      expect((await client.send(server.url, { method: 'PUT', body })).status).toBe(200);
    }
    expect(server.connections()).toBe(2);
  });

  it('leave the queue when they are called off, and take their connection along when they were sent', async () => {
    let isFirst = true;
    await using server = await rawServer((request) => {
      if (!isFirst) echo(request);
      isFirst = false;
    });
    using client = wireClient({ most: 1 });
    const stops = [new AbortController(), new AbortController()];
    const [sent, queued] = stops.map(({ signal }) => client.send(server.url, { signal }).catch(() => 'called off'));
    const last = client.ask(new URL('/last', server.url));
    await expect.poll(() => isFirst).toBe(false);
    stops[1]?.abort();
    expect(await queued).toBe('called off');
    stops[0]?.abort();
    expect(await sent).toBe('called off');
    expect(await last).toEqual({ status: 200, body: '/last' });
    expect(server.connections()).toBe(2);
  });

  it('do not go to a connection on which something came that nobody asked for', async () => {
    let onClose: Promise<void> | undefined;
    await using server = await rawServer((request) => {
      echo(request);
      onClose ??= new Promise((settle) => request.socket.once('close', () => settle()));
      if (request.head.startsWith('GET /odd')) setImmediate(() => request.socket.write(ok));
    });
    using client = wireClient({ most: 1 });
    await client.ask(new URL('/odd', server.url));
    await onClose;
    expect(await client.ask(new URL('/next', server.url))).toEqual({ status: 200, body: '/next' });
  });

  it.each([
    ['no response comes', 'HEAD_TIMEOUT', '', { headTimeoutMs: 20 }],
    ['a body stops', 'BODY_STALLED', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi', { stallMs: 20 }],
  ])('fail where %s', async (_what, code, answer, limits) => {
    await using server = await rawServer(({ socket }) => void socket.write(answer));
    using client = wireClient();
    const whole = client.send(server.url, limits).then(({ body }) => bytesOf(body));
    await expect(whole).rejects.toMatchObject({ code });
  });
});

describe('a socket without a landing', () => {
  it('does not let the buffers that went through pile up', async () => {
    const size = 256 * 2 ** 20;
    await using server = await rawServer(({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
      const part = Buffer.alloc(2 ** 20);
      let left = size;
      const send = () => {
        for (; left > 0; left -= part.length) if (!socket.write(part)) return void socket.once('drain', send);
      };
      send();
    });
    const socket = connect(Number(server.url.port), '127.0.0.1');
    const connection = createConnection(socket, { onFree: () => {}, onClosed: () => {} });
    const before = process.memoryUsage().arrayBuffers;
    const head = 'GET / HTTP/1.1\r\n\r\n';
    const { body } = await connection.request({ method: 'GET', head, headTimeoutMs: 60_000, stallMs: 60_000 });
    let peak = 0;
    await new Promise<void>((end, fail) => {
      const take = (_bytes: Buffer, done: () => void) => {
        peak = Math.max(peak, process.memoryUsage().arrayBuffers);
        done();
      };
      body.flow({ take, end, fail });
    });
    connection.close();
    expect((peak - before) / 2 ** 20).toBeLessThan(48);
  });
});

describe('a request with a streamed body', () => {
  /** Sends what is put, as a body of so many bytes. */
  function upload(length: number, limits: { stallMs?: number } = {}) {
    const cancelled = vi.fn();
    const pipe = createBytePipe(cancelled);
    const done = vi.fn();
    return {
      done,
      cancelled,
      put: (bytes: string | Buffer) => pipe.put(Buffer.from(bytes), done),
      pipe,
      request: { method: 'PATCH', body: { source: pipe.source, length }, ...limits },
    };
  }

  it.each([
    ['a refusal', 'HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno', 413],
    ['a success', 'HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok', 202],
  ])('is not sent on after %s that comes before its end', async (_what, answer, status) => {
    await using server = await rawServer(({ socket }) => void socket.write(answer));
    using client = wireClient({ most: 1 });
    const one = upload(1000);
    one.put('start');
    const response = await client.send(server.url, one.request);
    expect(response.status).toBe(status);
    expect((await bytesOf(response.body)).toString()).toBe(answer.slice(-2));
    expect(one.cancelled).toHaveBeenCalledTimes(1);
    await client.send(server.url);
    expect(server.connections()).toBe(2);
  });

  it.each([
    ['shorter', ['abc'], 9],
    ['longer', ['abc', 'def'], 5],
    ['longer than nothing', ['abc'], 0],
  ])('fails where it is %s than announced', async (_what, parts, length) => {
    await using server = await rawServer(() => {});
    using client = wireClient();
    const one = upload(length);
    for (const part of parts) one.put(part);
    one.pipe.end();
    await expect(client.send(server.url, one.request)).rejects.toMatchObject({ code: 'WRONG_LENGTH' });
    await expect.poll(() => one.done.mock.calls.length).toBe(parts.length);
  });

  it('is refused by an answer that is there when the connection breaks', async () => {
    let peer: Socket | undefined;
    await using server = await rawServer(({ socket }) => {
      peer = socket;
    });
    using client = wireClient();
    const one = upload(100);
    one.put('start');
    const sending = client.send(server.url, one.request);
    await expect.poll(() => peer).toBeDefined();
    // In one turn, so that the write comes before the answer is read.
    peer?.write('HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno');
    peer?.resetAndDestroy();
    one.put('more');
    one.put('and more');
    const response = await sending;
    expect(response.status).toBe(413);
    expect((await bytesOf(response.body)).toString()).toBe('no');
  });

  it('fails with its source', async () => {
    await using server = await rawServer(() => {});
    using client = wireClient();
    const one = upload(100);
    one.put('abc');
    const sending = client.send(server.url, one.request);
    await turn();
    one.pipe.fail(new Error('the source is gone'));
    await expect(sending).rejects.toThrow('the source is gone');
  });

  it('waits while the peer takes nothing, and fails when that lasts', async () => {
    await using server = await rawServer(({ socket }) => void socket.pause());
    using client = wireClient();
    const one = upload(64 * 2 ** 20, { stallMs: 50 });
    const sending = client.send(server.url, one.request);
    const parts = 64;
    for (let count = 0; count < parts; count += 1) one.put(Buffer.alloc(2 ** 20));
    await expect(sending).rejects.toMatchObject({ code: 'NOTHING_TAKEN' });
    await expect.poll(() => one.done.mock.calls.length).toBe(parts);
  });

  it('does not count as stalled, nor as unanswered, while its source has nothing', async () => {
    await using server = await rawServer(({ socket }) => {
      socket.on('data', (bytes: Buffer) => bytes.toString().endsWith('!') && socket.write(ok));
    });
    using client = wireClient();
    const one = upload(4, { stallMs: 20 });
    const sending = client.send(server.url, { ...one.request, headTimeoutMs: 5000 });
    one.put('abc');
    await new Promise((settle) => setTimeout(settle, 60));
    one.put('!');
    expect((await sending).status).toBe(200);
  });
});

describe.each([
  ['plain http', undefined],
  ['TLS', tls],
])('a long body by %s', (_what, options) => {
  const content = randomBytes(6 * 2 ** 20);
  const head = `HTTP/1.1 200 OK\r\ncontent-length: ${content.length}\r\n\r\n`;
  const digest = createHash('sha256').update(content).digest('hex');

  it('is read no further than its taker is done, and arrives whole', async () => {
    await using server = await rawServer(({ socket }) => {
      socket.write(head);
      socket.write(content);
    }, options);
    using client = wireClient({ most: 1 });
    const { body } = await client.send(server.url);
    const parts: Array<{ bytes: Buffer; done: () => void }> = [];
    let length = 0;
    const ended = new Promise<void>((settle, reject) => {
      body.flow({
        take(bytes, done) {
          length += bytes.length;
          parts.push({ bytes, done });
        },
        end: settle,
        fail: reject,
      });
    });
    let before = -1;
    while (before !== length || length === 0) {
      before = length;
      for (let turns = 0; turns < 50; turns += 1) await turn();
    }
    expect(length).toBeLessThan(2 * 2 ** 20);
    // What is held must not be written over, also by what TLS has in hand when it is told to pause.
    const hash = createHash('sha256');
    let hashed = 0;
    while (hashed < content.length) {
      for (let turns = 0; turns < 3; turns += 1) await turn();
      const part = parts.shift();
      if (part === undefined) continue;
      hash.update(part.bytes);
      hashed += part.bytes.length;
      part.done();
    }
    await ended;
    expect(hash.digest('hex')).toBe(digest);
    // Though its end came while the socket was paused.
    await client.send(server.url).then((second) => second.body.cancel());
    expect(server.connections()).toBe(1);
  });

  it('that nobody wants closes its connection', async () => {
    let closed = false;
    await using server = await rawServer(({ socket }) => {
      socket.on('close', () => {
        closed = true;
      });
      socket.write(head);
      socket.write(content);
    }, options);
    using client = wireClient();
    (await client.send(server.url)).body.cancel();
    await expect.poll(() => closed).toBe(true);
  });
});

describe('a pool', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  function poolOf(options: Partial<PoolOptions> = {}) {
    vi.useFakeTimers();
    let events: Parameters<PoolOptions['open']>[0] | undefined;
    const closed: number[] = [];
    const onEmpty = vi.fn();
    let opened = 0;
    const pool = createPool({
      most: 8,
      maxIdleMs: 600_000,
      onEmpty,
      async open(given) {
        events = given;
        opened += 1;
        const id = opened;
        const connection: Connection = {
          isUsed: () => true,
          request: () => Promise.reject(new Error('not used')),
          close() {
            closed.push(id);
            given.onClosed(connection);
          },
        };
        return connection;
      },
      ...options,
    });
    return {
      pool,
      closed,
      onEmpty,
      opened: () => opened,
      free: (one: Connection, idleMs?: number) => events?.onFree(one, idleMs),
    };
  }

  it.each([
    [undefined, 4000],
    [10_000, 9000],
    [10_000_000, 600_000],
  ])('keeps a connection that the peer keeps for %s ms for %i ms', async (hint, keptMs) => {
    const { pool, closed, onEmpty, free } = poolOf();
    free(await pool.take(undefined), hint);
    vi.advanceTimersByTime(keptMs - 1);
    expect([closed, onEmpty.mock.calls]).toEqual([[], []]);
    vi.advanceTimersByTime(2);
    expect([closed, onEmpty.mock.calls]).toEqual([[1], [[]]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('gives out the latest that became free, and none that is too old', async () => {
    const { pool, opened, closed, free } = poolOf();
    const [first, second] = await Promise.all([pool.take(undefined), pool.take(undefined)]);
    free(first!, 3000);
    free(second!);
    expect(await pool.take(undefined)).toBe(second);
    vi.setSystemTime(Date.now() + 10_000);
    vi.advanceTimersByTime(10_000);
    expect(closed).toEqual([1]);
    await pool.take(undefined);
    expect(opened()).toBe(3);
  });

  it('tells each caller what its connection failed with, and serves the next', async () => {
    let tries = 0;
    const { pool, onEmpty } = poolOf({
      most: 1,
      open: async () => {
        tries += 1;
        throw new Error(`try ${tries}`);
      },
    });
    const calls = await Promise.allSettled([pool.take(undefined), pool.take(undefined), pool.take(undefined)]);
    expect(calls.map((call) => call.status === 'rejected' && call.reason.message)).toEqual(['try 1', 'try 2', 'try 3']);
    expect(onEmpty).toHaveBeenCalled();
  });

  it('that is closed closes all, and turns callers away', async () => {
    const { pool, closed } = poolOf({ most: 1 });
    await pool.take(undefined);
    const waiting = pool.take(undefined);
    pool.close();
    await expect(waiting).rejects.toMatchObject({ code: 'HUNG_UP' });
    await expect(pool.take(undefined)).rejects.toMatchObject({ code: 'HUNG_UP' });
    expect(closed).toEqual([1]);
  });
});
