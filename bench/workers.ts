import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { createServer as createTlsServer } from 'node:tls';
import { parseArgs } from 'node:util';
import { measure } from './measure.ts';

/**
 * `npx node bench/workers.ts [--tls] [--workers 1,2] [--rounds 3] [--layers 64] [--mib 64]`: one copy of large layers by
 * the built command, from one registry that costs little to another, each a process of its own. They need cores too: two
 * threads cannot be twice as fast on a machine with two cores.
 */
const { values: options } = parseArgs({
  options: {
    tls: { type: 'boolean', default: false },
    workers: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '3' },
    layers: { type: 'string', default: '64' },
    mib: { type: 'string', default: '64' },
    serve: { type: 'boolean', default: false },
  },
});
const layers = Number(options.layers);
const layerBytes = Number(options.mib) * 2 ** 20;

/** One body for all blobs; they differ in their last eight bytes. */
const part = Buffer.alloc(2 ** 20, 'what layers are made of');

interface Content {
  manifest: string;
  /** By digest: how the blob ends. */
  ends: Record<string, number>;
}

function makeContent(): Content {
  const digestOf = (hash: ReturnType<typeof createHash>) => `sha256:${hash.digest('hex')}`;
  const all = createHash('sha256');
  for (let done = 0; done < layerBytes - part.length; done += part.length) all.update(part);
  const config = { digest: digestOf(createHash('sha256').update('{}')), size: 2 };
  const ends: Record<string, number> = {};
  const descriptors = Array.from({ length: layers }, (_, index) => {
    const digest = digestOf(all.copy().update(lastPart(index)));
    ends[digest] = index;
    return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: layerBytes };
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: descriptors,
  };
  return { manifest: JSON.stringify(manifest), ends };
}

function lastPart(index: number): Buffer {
  const last = Buffer.from(part);
  last.writeBigUInt64BE(BigInt(index), last.length - 8);
  return last;
}

/** Serves the content, and takes any blob and manifest without a look at it. */
function serve({ manifest, ends }: Content): void {
  const digestField = `Docker-Content-Digest: sha256:${createHash('sha256').update(manifest).digest('hex')}\r\n`;
  const manifestHead = `Content-Type: application/vnd.oci.image.manifest.v1+json\r\n${digestField}Content-Length: ${manifest.length}`;
  const ok = (fields: string, body = '') => `HTTP/1.1 200 OK\r\n${fields}\r\n\r\n${body}`;
  const none = (status: string, field = '') => `HTTP/1.1 ${status}\r\n${field}Content-Length: 0\r\n\r\n`;
  let uploads = 0;

  async function sendBlob(socket: Socket, end: number): Promise<void> {
    socket.write(ok(`Content-Length: ${layerBytes}`));
    for (let sent = 0; sent < layerBytes; sent += part.length) {
      const isLast = sent + part.length === layerBytes;
      if (!socket.write(isLast ? lastPart(end) : part)) await once(socket, 'drain');
    }
  }

  function answer(socket: Socket, method: string, path: string): void {
    const digest = /\/blobs\/(sha256:[0-9a-f]{64})$/.exec(path)?.[1];
    const end = ends[digest ?? ''];
    if (method === 'GET' && end !== undefined) void sendBlob(socket, end).catch(() => socket.destroy());
    else if (method === 'GET' && digest !== undefined) socket.write(ok('Content-Length: 2', '{}'));
    else if (path.includes('/manifests/') && method === 'HEAD' && path.includes('/big/'))
      socket.write(ok(manifestHead));
    else if (path.includes('/manifests/') && method === 'GET' && path.includes('/big/'))
      socket.write(ok(manifestHead, manifest));
    else if (method === 'GET' && path === '/v2/') socket.write(ok('Content-Length: 2', '{}'));
    else if (method === 'POST') {
      uploads += 1;
      socket.write(none('202 Accepted', `Location: /v2/x/blobs/uploads/${uploads}\r\n`));
    } else if (method === 'PATCH') socket.write(none('202 Accepted', 'Location: /v2/x/blobs/uploads/1\r\n'));
    else if (method === 'PUT') socket.write(none('201 Created', path.includes('/manifests/') ? digestField : ''));
    else socket.write(none('404 Not Found'));
  }

  const talk = (socket: Socket): void => {
    let head = '';
    let bodyLeft = 0;
    let request = { method: '', path: '' };
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      // A TLS hello: the client is to try plain http at once.
      if (!options.tls && head === '' && bodyLeft === 0 && bytes[0] === 0x16) return socket.destroy();
      let rest = bytes;
      while (rest.length > 0) {
        if (bodyLeft === 0) {
          head += rest.toString('latin1');
          const end = head.indexOf('\r\n\r\n');
          if (end === -1) return;
          rest = Buffer.from(head.slice(end + 4), 'latin1');
          const [method = '', path = ''] = head.split(' ', 2);
          bodyLeft = Number(/\r\ncontent-length: (\d+)/i.exec(head.slice(0, end + 2))?.[1] ?? 0);
          head = '';
          request = { method, path };
        }
        const taken = Math.min(bodyLeft, rest.length);
        bodyLeft -= taken;
        rest = rest.subarray(taken);
        if (bodyLeft === 0) answer(socket, request.method, request.path);
      }
    });
  };
  const listen = (server: ReturnType<typeof createServer>) =>
    server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
  if (!options.tls) return void listen(createServer(talk));
  const fixtures = resolve(import.meta.dirname, '../test/support/fixtures');
  void Promise.all([readFile(`${fixtures}/server.pem`), readFile(`${fixtures}/server-key.pem`)]).then(([cert, key]) =>
    listen(createTlsServer({ cert, key }, talk)),
  );
}

/** A registry in a process of its own. */
async function startServer(): Promise<{ host: string; stop(): void }> {
  const args = ['--layers', String(layers), '--mib', String(options.mib), ...(options.tls ? ['--tls'] : [])];
  const child = spawn(process.execPath, [import.meta.filename, '--serve', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(content));
  const [port] = await once(createInterface({ input: child.stdout }), 'line');
  return { host: `127.0.0.1:${port}`, stop: () => child.kill() };
}

if (options.serve) {
  let text = '';
  for await (const bytes of process.stdin) text += bytes;
  serve(JSON.parse(text));
}
const content = options.serve ? undefined : makeContent();
if (content !== undefined) {
  const folder = await mkdtemp(join(tmpdir(), 'tranship-workers-'));
  const servers = await Promise.all([startServer(), startServer()]);
  try {
    const [source, sink] = servers.map(({ host }) => host);
    const login = { insecure: true };
    await writeFile(join(folder, 'auth.json'), JSON.stringify({ [source ?? '']: login, [sink ?? '']: login }));
    console.log(`${layers} layers of ${options.mib} MiB, ${options.tls ? 'TLS' : 'http'} on both sides`);
    for (let round = 0; round < Number(options.rounds); round += 1) {
      for (const workers of options.workers.split(',')) {
        const program = resolve(import.meta.dirname, '../dist/tranship.mjs');
        const state = join(folder, `state-${workers}-${round}`);
        const args = ['copy', `${source}/big/app:v1`, `${sink}/copy/app:v1`, '--auth', 'auth.json', '--state', state];
        const env = { ...process.env };
        const command = {
          program: process.execPath,
          args: [program, ...args, '--proc', '16', '--workers', workers, '--quiet'],
          env,
        };
        const { wallS, cpuS, peakRssMib } = await measure(command, folder);
        const gib = (layers * layerBytes) / 2 ** 30;
        const figures = { wallS, cpuS, cpuPerGib: cpuS / gib, gibPerS: gib / wallS, peakRssMib };
        const text = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(2)}`);
        console.log(`${workers} workers: ${text.join(', ')}`);
      }
    }
  } finally {
    for (const { stop } of servers) stop();
    await rm(folder, { recursive: true });
  }
}
