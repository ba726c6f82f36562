import { createHash, randomFillSync } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ensureBlob } from '../../core/copy/blobs.ts';
import { type CopyContext, createArrival, createCopyContext } from '../../core/copy/context.ts';
import { createGate, type Gate } from '../../core/copy/gate.ts';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { digestOf } from '../../core/model/digest.ts';
import { headBlob } from '../../core/registry/blobs.ts';
import { closeRegistryClient, type RegistryClient } from '../../core/registry/client.ts';
import { quirksOf } from '../../core/registry/quirks.ts';
import { startUpload } from '../../core/registry/uploads.ts';
import { openRegistries } from '../../machine/registries.ts';
import { createMoverPool, type MoverPool, THREAD_FROM_BYTES } from '../../machine/workers/pool.ts';
import { program } from '../support/command.ts';
import { password as secret, startDistribution, testAuthority, username } from '../support/distribution.ts';
import { socksProxy } from '../support/proxies.ts';
import { fixture } from '../support/tls-registry.ts';
import { toolsReady } from '../support/tools.ts';

const content = randomFillSync(Buffer.alloc(THREAD_FROM_BYTES + 1000));
const digest = digestOf(content);
const blob = { digest, size: content.length, mediaType: 'application/octet-stream' };

interface Peer extends AsyncDisposable {
  host: string;
  port: number;
  /** `METHOD path` of each request. */
  log: string[];
  /** Digests of the bytes that came with PATCH and PUT. */
  received: string[];
}

interface PeerOptions {
  tls?: boolean;
  /** `user:password`, asked for in each request. */
  login?: () => string;
  /** Answers a request in another way; true where it has. */
  script?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** A registry that has one blob, and takes any. */
async function startPeer({ tls = false, login, script = () => false }: PeerOptions = {}): Promise<Peer> {
  const log: string[] = [];
  const received: string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request;
    const end = (status: number, fields: Record<string, string> = {}) => response.writeHead(status, fields).end();
    response.on('error', () => {});
    request.on('error', () => {});
    const expected = login && `Basic ${Buffer.from(login()).toString('base64')}`;
    if (expected !== undefined && headers.authorization !== expected) {
      return end(401, { 'www-authenticate': 'Basic realm="peer"' });
    }
    if (url === '/v2/') return end(200);
    log.push(`${method} ${url.replace(/\?.*/, '')}`);
    if (script(request, response)) return;
    if (method === 'GET') {
      const from = Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
      const range = { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` };
      response.writeHead(from > 0 ? 206 : 200, {
        'content-length': String(content.length - from),
        ...(from > 0 && range),
      });
      return void response.end(content.subarray(from));
    }
    if (method === 'POST') return end(202, { location: '/v2/b/blobs/uploads/1' });
    if (method === 'HEAD') return end(404);
    const hash = createHash('sha256');
    try {
      for await (const bytes of request) hash.update(bytes);
    } catch {
      return;
    }
    const hex = hash.digest('hex');
    if (Number(headers['content-length'] ?? 0) > 0) received.push(`sha256:${hex}`);
    end(method === 'PATCH' ? 202 : 201, { location: '/v2/b/blobs/uploads/1' });
  };
  const server = tls
    ? createTlsServer({ cert: fixture('server.pem'), key: fixture('server-key.pem') }, answer)
    : createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    port,
    log,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Threads extends AsyncDisposable {
  client: RegistryClient;
  pool: MoverPool;
  context: CopyContext;
  warnings: string[];
  abort: AbortController;
  /** Moves that the main thread did itself. */
  byMain(): number;
  /** Brings the blob from one peer to another; a thread moves it. */
  bring(from: string, to: string): Promise<ReturnType<typeof createArrival>>;
}

/** A pool with one thread that takes the next move. */
async function openThreads(
  options: {
    login?: AuthEntry;
    lookup?: (fresh: boolean, registry: string) => AuthEntry;
    gate?: Gate;
    entry?: URL;
  } = {},
): Promise<Threads> {
  const { login = { insecure: true }, lookup = () => login, gate } = options;
  const warnings: string[] = [];
  const client = openRegistries({
    userAgent: 'tranship/test',
    allowedRealms: [],
    credentials: { lookup: async ({ registry }, { fresh = false } = {}) => lookup(fresh, registry) },
    warn: (message) => warnings.push(message),
    warnOfFiles: () => {},
  });
  const pool = createMoverPool({
    client,
    workers: 2,
    gate,
    needsThread: () => {
      if (options.entry?.protocol === 'none:') refusals += 1;
      return true;
    },
    lookEveryMs: 1,
    entry: options.entry,
  });
  const abort = new AbortController();
  const places = { findBlobs: async () => [], writeBlobs: async () => {}, forgetBlobs: async () => {} };
  const context: CopyContext = {
    ...createCopyContext({ client, ledger: places, blobsAtOnce: 4, emit: () => {} }),
    retry: { attempts: 3, baseMs: 1, capMs: 2 },
    signal: abort.signal,
    gate,
    mover: (move, watch, here) =>
      pool.mover(move, watch, () => {
        byMain += 1;
        return here();
      }),
  };
  let byMain = 0;
  const release = await keepBusy(pool);
  return {
    client,
    pool,
    context,
    warnings,
    abort,
    byMain: () => byMain,
    async bring(from, to) {
      const arrival = createArrival({ registry: to, repository: 'b', tag: '1' });
      await ensureBlob(context, { registry: from, repository: 'a' }, blob, [arrival]);
      return arrival;
    },
    async [Symbol.asyncDispose]() {
      release();
      await pool.close();
      await closeRegistryClient(client);
    },
  };
}

/** Looks of a pool in which no thread could be made: Node throws at once where a limit is reached. */
let refusals = 0;

/** Gives the main thread two moves that do not end until there is a thread, or none can be had. @returns ends them */
async function keepBusy(pool: MoverPool): Promise<() => void> {
  const { promise, resolve } = Promise.withResolvers<never[]>();
  const nobody = { registry: 'localhost:1', repository: 'x' };
  const watch = { signal: new AbortController().signal, onBytes: () => {}, onRead: () => {} };
  const move = { source: nobody, digest, size: THREAD_FROM_BYTES, sessions: [] };
  for (const _ of [1, 2]) void pool.mover(move, watch, () => promise);
  await expect.poll(() => pool.threads() > 0 || started.length + refusals >= 3).toBe(true);
  return () => resolve([]);
}

/** The threads that were started in a test. */
const started: Worker[] = [];
const note = (worker: Worker) => void started.push(worker);
beforeEach(() => {
  started.length = 0;
  refusals = 0;
  process.on('worker', note);
});
afterEach(() => {
  process.off('worker', note);
  vi.unstubAllEnvs();
});

const built = new URL('thread.cjs', pathToFileURL(program));

describe('a thread', () => {
  it.each([
    ['of the sources', undefined],
    ['of the built command', built],
  ])('%s moves a blob over TLS, with an authority and a login of the auth file', async (_, entry) => {
    await using source = await startPeer({ tls: true, login: () => 'user:secret' });
    await using sink = await startPeer({ tls: true, login: () => 'user:secret' });
    await using threads = await openThreads({
      login: { ca: fixture('ca.pem'), username: 'user', password: 'secret' },
      entry,
    });
    const arrival = await threads.bring(source.host, sink.host);
    expect(arrival.error).toBeUndefined();
    expect(arrival.bytes).toBe(content.length);
    expect(sink.received).toEqual([digest]);
    expect({ threads: started.length, byMain: threads.byMain() }).toEqual({ threads: 1, byMain: 0 });
  });

  it.skipIf(!toolsReady('docker-registry'))(
    'moves a blob between real registries, with tokens and htpasswd',
    async () => {
      const [source, sink] = await Promise.all([
        startDistribution({ auth: 'token' }),
        startDistribution({ auth: 'htpasswd', tls: true }),
      ]);
      try {
        await using peer = await startPeer();
        await using threads = await openThreads({
          lookup: (_, registry) => ({
            ...(registry === sink.host ? { ca: testAuthority } : { insecure: true }),
            ...(registry !== peer.host && { username, password: secret }),
          }),
        });
        expect((await threads.bring(peer.host, source.host)).error).toBeUndefined();
        const again = createArrival({ registry: sink.host, repository: 'b', tag: '1' });
        await ensureBlob(threads.context, { registry: source.host, repository: 'b' }, blob, [again]);
        expect(again.error).toBeUndefined();
        expect(await headBlob(threads.client, again.target, digest)).toBe(content.length);
        expect(threads.byMain()).toBe(0);
      } finally {
        await Promise.all([source.close(), sink.close()]);
      }
    },
  );

  it('uses the proxy of the environment', async () => {
    await using peer = await startPeer();
    await using proxy = await socksProxy(peer.port);
    vi.stubEnv('ALL_PROXY', `socks5h://${proxy.host}`);
    vi.stubEnv('NO_PROXY', '');
    await using threads = await openThreads();
    const arrival = await threads.bring('source.corp.test:5000', 'sink.corp.test:5000');
    expect(arrival.error).toBeUndefined();
    expect(peer.received).toEqual([digest]);
    expect(threads.byMain()).toBe(0);
  });

  it('asks the main thread for a login each time, so that a new one reaches it', async () => {
    let password = 'first';
    await using source = await startPeer({ login: () => `user:${password}` });
    await using sink = await startPeer();
    let known = password;
    await using threads = await openThreads({
      lookup: (fresh) => {
        if (fresh) known = password;
        return { insecure: true, username: 'user', password: known };
      },
    });
    expect((await threads.bring(source.host, sink.host)).error).toBeUndefined();
    password = 'second';
    const arrival = createArrival({ registry: sink.host, repository: 'other', tag: '1' });
    await ensureBlob(threads.context, { registry: source.host, repository: 'a' }, blob, [arrival]);
    expect(arrival.error).toBeUndefined();
    expect(threads.byMain()).toBe(0);
  });

  it('goes on where the source broke off', async () => {
    let gets = 0;
    await using source = await startPeer({
      script(request, response) {
        if (request.method !== 'GET') return false;
        gets += 1;
        if (gets > 1) return false;
        response.writeHead(200, { 'content-length': String(content.length) });
        response.write(content.subarray(0, 1_000_000), () => response.destroy());
        return true;
      },
    });
    await using sink = await startPeer();
    await using threads = await openThreads();
    expect((await threads.bring(source.host, sink.host)).error).toBeUndefined();
    expect({ gets, byMain: threads.byMain() }).toEqual({ gets: 2, byMain: 0 });
    expect(sink.received).toEqual([digest]);
    expect(sink.log.filter((line) => line.startsWith('POST'))).toHaveLength(1);
  });

  it('says what a registry asked for with 429, and the main thread parks it', async () => {
    await using source = await startPeer({
      script: (_, response) => {
        response.writeHead(429, { 'retry-after': '600' }).end();
        return true;
      },
    });
    await using sink = await startPeer();
    await using threads = await openThreads();
    const { error } = await threads.bring(source.host, sink.host);
    expect(error).toMatchObject({
      class: 'throttled',
      code: 'throttled',
      site: { registry: source.host, status: 429 },
    });
    expect(threads.byMain()).toBe(0);
    expect(error?.retryAt).toBeGreaterThan(Date.now() + 500_000);
  });

  it('finds bytes that do not have their digest', async () => {
    await using source = await startPeer({
      script(request, response) {
        if (request.method !== 'GET') return false;
        response.writeHead(200).end(Buffer.alloc(content.length));
        return true;
      },
    });
    await using sink = await startPeer();
    await using threads = await openThreads();
    const { error } = await threads.bring(source.host, sink.host);
    expect(error).toMatchObject({ class: 'transient', code: 'digest-mismatch' });
    expect(threads.byMain()).toBe(0);
    expect(sink.received).toEqual([]);
  });

  it('tells the main thread what it has learned of a registry', async () => {
    await using source = await startPeer();
    await using sink = await startPeer({
      script(request, response) {
        if (request.method !== 'PUT' || request.headers['content-length'] === '0') return false;
        request.resume();
        response.writeHead(405).end();
        return true;
      },
    });
    await using threads = await openThreads();
    expect((await threads.bring(source.host, sink.host)).error).toBeUndefined();
    expect(quirksOf(threads.client, sink.host).refusesPutWithBody).toBe(true);
    expect(threads.byMain()).toBe(0);
    expect(sink.received).toEqual([digest]);
  });

  it('that dies in the middle of a blob costs one try, and another thread is started', async () => {
    let isKilled = false;
    await using source = await startPeer({
      script(request, response) {
        if (request.method !== 'GET' || isKilled) return false;
        response.writeHead(200, { 'content-length': String(content.length) }).write(content.subarray(0, 1_000_000));
        isKilled = true;
        void started[0]?.terminate();
        return true;
      },
    });
    await using sink = await startPeer();
    await using threads = await openThreads();
    const bringing = threads.bring(source.host, sink.host);
    await expect.poll(() => isKilled).toBe(true);
    await expect.poll(() => started.length).toBeGreaterThan(1);
    expect((await bringing).error).toBeUndefined();
    expect(sink.received).toEqual([digest]);
    expect(threads.warnings).toEqual([expect.stringContaining('a thread that moves blobs has ended')]);
  });

  it('stops at once when the copy is stopped', async () => {
    await using source = await startPeer({
      script(request, response) {
        if (request.method !== 'GET') return false;
        response.writeHead(200, { 'content-length': String(content.length) }).write(content.subarray(0, 1_000_000));
        setImmediate(() => threads.abort.abort());
        return true;
      },
    });
    await using sink = await startPeer();
    await using threads = await openThreads();
    expect((await threads.bring(source.host, sink.host)).error).toMatchObject({ code: 'aborted' });
    await threads.pool.close();
    expect(threads.pool.threads()).toBe(0);
    expect(started.map(({ threadId }) => threadId)).toEqual([-1]);
  });

  it('waits while the gate is shut', async () => {
    let clock = 1_000_000;
    const gate = createGate(() => clock);
    await using source = await startPeer();
    await using sink = await startPeer();
    await using threads = await openThreads({ gate });
    const reopen = gate.shut();
    let isBrought = false;
    const bringing = threads.bring(source.host, sink.host).finally(() => {
      isBrought = true;
    });
    await expect.poll(() => source.log.some((line) => line.startsWith('GET'))).toBe(true);
    // Whatever the thread would have sent has had time to come.
    await startUpload(threads.client, { registry: sink.host, repository: 'c' });
    expect({ isBrought, received: sink.received }).toEqual({ isBrought: false, received: [] });
    clock += 10;
    reopen();
    expect((await bringing).error).toBeUndefined();
    expect(sink.received).toEqual([digest]);
  });

  it('that Node refuses to make leaves all to the main thread', async () => {
    await using source = await startPeer();
    await using sink = await startPeer();
    await using threads = await openThreads({ entry: new URL('none:') });
    expect((await threads.bring(source.host, sink.host)).error).toBeUndefined();
    expect(sink.received).toEqual([digest]);
    expect(threads.warnings).toEqual([expect.stringContaining('a thread that moves blobs cannot be started')]);
  });

  it('that cannot be started leaves all to the main thread', async () => {
    await using source = await startPeer();
    await using sink = await startPeer();
    await using threads = await openThreads({ entry: new URL('file:///nothing/there.mjs') });
    expect((await threads.bring(source.host, sink.host)).error).toBeUndefined();
    expect(sink.received).toEqual([digest]);
    expect(threads.warnings).toHaveLength(1);
    expect(started).toHaveLength(3);
  });
});
