import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type LookupFunction, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { headManifest } from '../../core/registry/manifests.ts';
import { dial } from '../../core/registry/wire/dial.ts';
import { scriptedRegistry, testClient } from '../support/scripted-registry.ts';

const closers: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function listener(host = '127.0.0.1', port = 0): Promise<number> {
  const server = createServer((socket) => void socket.on('error', () => {}));
  server.listen(port, host);
  await once(server, 'listening');
  closers.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/**
 * Makes 127.0.0.2:port an address where connecting neither succeeds nor fails: its queue is full and nobody accepts.
 */
async function deadAddress(port: number): Promise<void> {
  const worker = new Worker(
    `const { createServer } = require('node:net');
     const { parentPort } = require('node:worker_threads');
     createServer().listen({ port: ${port}, host: '127.0.0.2', backlog: 1 }, () => {
       parentPort.postMessage('listening');
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  closers.push(() => worker.terminate());
  await once(worker, 'message');
  const fill: Socket[] = [];
  closers.push(() => fill.forEach((socket) => void socket.destroy()));
  for (;;) {
    const socket = connect(port, '127.0.0.2').on('error', () => {});
    fill.push(socket);
    const isFull = await Promise.race([
      once(socket, 'connect').then(() => false),
      new Promise((resolve) => setTimeout(resolve, 200, true)),
    ]);
    if (isFull) return;
  }
}

/** A resolver with one list of results, or errors by code, for each time it is asked; the last is for ever. */
function resolver(...answers: Array<string[] | string>): LookupFunction & { asked: number } {
  const lookup = Object.assign(
    ((_host, _options, callback) => {
      const answer = answers[Math.min(lookup.asked, answers.length - 1)] ?? [];
      lookup.asked += 1;
      if (typeof answer === 'string') callback(Object.assign(new Error(answer), { code: answer }), []);
      else
        callback(
          null,
          answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
        );
    }) as LookupFunction,
    { asked: 0 },
  );
  return lookup;
}

describe('a host with several addresses', () => {
  it('is reached where the first is dead', async () => {
    const port = await listener();
    await deadAddress(port);
    const lookup = resolver(['127.0.0.2', '127.0.0.1']);
    const socket = await dial('r.test', port, { lookup, timeoutMs: 30_000 });
    expect(socket.remoteAddress).toBe('127.0.0.1');
    socket.destroy();
  });

  it('is reached where the first refuses, whatever its family', async () => {
    const port = await listener();
    const socket = await dial('r.test', port, { lookup: resolver(['::1', '127.0.0.3', '127.0.0.1']) });
    expect(socket.remoteAddress).toBe('127.0.0.1');
    socket.destroy();
  });

  it('fails with the first failure, or by its time', async () => {
    await expect(dial('r.test', 1, { lookup: resolver(['127.0.0.1', '::1']) })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      address: '127.0.0.1',
    });
    const port = await listener();
    await deadAddress(port);
    const slow = dial('r.test', port, { lookup: resolver(['127.0.0.2']), timeoutMs: 50 });
    await expect(slow).rejects.toMatchObject({ code: 'CONNECT_TIMEOUT' });
  });

  it('is given up with its client', async () => {
    const port = await listener();
    await deadAddress(port);
    const stop = new AbortController();
    const dialled = dial('127.0.0.2', port, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(dialled).rejects.toThrow('enough');
    await expect(dial('127.0.0.2', port, { signal: stop.signal })).rejects.toThrow('enough');
  });
});

describe('a registry that cannot be reached', () => {
  it('counts as such for as long as its client says, and is tried again after that', async () => {
    let tries = 0;
    const server = createServer((socket) => {
      tries += 1;
      socket.destroy();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    closers.push(vi.useRealTimers);
    await using client = testClient({ unreachableMs: 30_000, retry: { attempts: 1, baseMs: 1, capMs: 1 } });
    const ask = () => headManifest(client, { registry: `127.0.0.1:${port}`, repository: 'team/app', tag: 'v1' });
    await expect(ask()).rejects.toMatchObject({ code: 'network' });
    const before = tries;
    vi.advanceTimersByTime(29_000);
    await expect(ask()).rejects.toMatchObject({ code: 'network' });
    expect(tries).toBe(before);
    vi.advanceTimersByTime(2000);
    await expect(ask()).rejects.toMatchObject({ code: 'network' });
    expect(tries).toBeGreaterThan(before);
  });
});

describe('a name', () => {
  it('is looked up once for all that connect to it at a time, and anew where it led nowhere', async () => {
    const port = await listener();
    const lookup = resolver(['127.0.0.1'], ['127.0.0.3'], ['127.0.0.1']);
    const dialled = await Promise.all([1, 2, 3].map(() => dial('r.test', port, { lookup })));
    dialled.push(await dial('r.test', port, { lookup }));
    expect(lookup.asked).toBe(1);
    await expect(dial('r.test', 1, { lookup })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(dial('r.test', 1, { lookup })).rejects.toMatchObject({ address: '127.0.0.3' });
    expect(lookup.asked).toBe(2);
    for (const socket of dialled) socket.destroy();
  });

  it('that DNS says nothing of is waited for 30 s, asked for once, and holds up no other for longer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    closers.push(vi.useRealTimers);
    const open: Array<() => void> = [];
    const silent = ((_host, _options, callback) => {
      open.push(() => callback(Object.assign(new Error('no'), { code: 'EAI_AGAIN' }), []));
    }) as LookupFunction;
    const names = ['a', 'b', 'c', 'c', 'd', 'd', 'd'];
    const dialled = names.map((name) => dial(`${name}.test`, 1, { lookup: silent }).catch((error) => error.code));
    const settle = () => new Promise((come) => setImmediate(come));
    await settle();
    vi.advanceTimersByTime(30_000);
    expect(await Promise.all(dialled)).toEqual(names.map(() => 'LOOKUP_TIMEOUT'));
    // The others waited here, where a process that ends need not wait for them, and are not asked for any more.
    for (const end of open) end();
    await settle();
    expect(open).toHaveLength(2);
    const lookup = resolver(['127.0.0.1']);
    await expect(dial('d.test', 1, { lookup })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('that does not exist is looked up once more before that is believed', async () => {
    const port = await listener();
    const late = resolver('ENOTFOUND', ['127.0.0.1']);
    (await dial('r.test', port, { lookup: late })).destroy();
    const never = resolver('ENOTFOUND');
    await expect(dial('r.test', port, { lookup: never })).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect([late.asked, never.asked]).toEqual([2, 2]);
  });

  it('without an address is an error', async () => {
    await expect(dial('r.test', 1, { lookup: resolver([]) })).rejects.toThrow('the name has no address');
  });

  it('that DNS cannot tell for a moment is left to the retries of the call', async () => {
    const lookup = resolver('EAI_AGAIN', ['127.0.0.1']);
    await expect(dial('r.test', 1, { lookup })).rejects.toMatchObject({ code: 'EAI_AGAIN' });
    expect(lookup.asked).toBe(1);
  });
});

describe('a registry by IPv6', () => {
  it('is reached by its literal', async () => {
    await using registry = await scriptedRegistry(() => ({ status: 404 }), '::1');
    await using client = testClient();
    expect(registry.host).toMatch(/^\[::1\]:\d+$/);
    expect(await headManifest(client, { registry: registry.host, repository: 'a', tag: '1' })).toBeUndefined();
  });
});
