import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { fixture } from './tls-registry.ts';

export interface TestProxy extends AsyncDisposable {
  /** `127.0.0.1:port` */
  host: string;
  /** What was asked for: `CONNECT host:port`, `GET http://…`, `SOCKS host:port`. */
  asked: string[];
  /** The Proxy-Authorization of each request, or `user:password` of SOCKS. */
  logins: Array<string | undefined>;
}

/** An HTTP proxy that leads everything to one port of this machine, or answers with `status` and `headers`. */
export async function httpProxy(
  to: number,
  options: { status?: number; headers?: Record<string, string>; tls?: boolean } = {},
): Promise<TestProxy> {
  const { status, headers = {}, tls = false } = options;
  const asked: string[] = [];
  const logins: TestProxy['logins'] = [];
  const onRequest: RequestListener = (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    logins.push(request.headers['proxy-authorization']);
    if (status !== undefined) return void response.writeHead(status, headers).end();
    const { pathname } = new URL(request.url ?? '');
    const options = { method: request.method, redirect: 'manual' as const };
    void fetch(`http://127.0.0.1:${to}${pathname}`, options).then(async (answer) => {
      const location = answer.headers.get('location');
      response.writeHead(answer.status, { ...(location !== null && { location }) }).end(await answer.text());
    });
  };
  const server = tls
    ? createTlsServer({ cert: fixture('corp.pem'), key: fixture('corp-key.pem') }, onRequest)
    : createServer(onRequest);
  const sockets = noteSockets(server);
  server.on('connect', (request, client: Socket) => {
    asked.push(`CONNECT ${request.url}`);
    logins.push(request.headers['proxy-authorization']);
    if (status !== undefined) {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      client.end(`HTTP/1.1 ${status} no\r\n${lines.join('')}content-length: 0\r\n\r\n`);
      return;
    }
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    join(client, to, sockets);
  });
  return listening(server, sockets, { asked, logins });
}

/** A SOCKS 5 proxy that leads everything to one port of this machine, or answers with `reply`. */
export async function socksProxy(
  to: number,
  { login, reply = 0 }: { login?: string; reply?: number } = {},
): Promise<TestProxy> {
  const asked: string[] = [];
  const logins: TestProxy['logins'] = [];
  const server = createTcpServer(async (client) => {
    client.on('error', () => client.destroy());
    const { read, stop } = reader(client);
    const [, count = 0] = await read(2);
    const methods = await read(count);
    if (login !== undefined && !methods.includes(2)) return void client.end(Buffer.of(5, 255));
    client.write(Buffer.of(5, login === undefined ? 0 : 2));
    if (login !== undefined) {
      const [, userLength = 0] = await read(2);
      const user = await read(userLength);
      const [passwordLength = 0] = await read(1);
      logins.push(`${user}:${await read(passwordLength)}`);
      if (logins.at(-1) !== login) return void client.end(Buffer.of(1, 1));
      client.write(Buffer.of(1, 0));
    }
    const [, , , kind] = await read(4);
    const host =
      kind === 3 ? `${await read((await read(1))[0] ?? 0)}` : [...(await read(kind === 4 ? 16 : 4))].join('.');
    asked.push(`SOCKS ${host}:${(await read(2)).readUInt16BE()}`);
    // In two pieces, as a network may bring it.
    client.write(Buffer.of(5, reply, 0));
    await new Promise((resolve) => setImmediate(resolve));
    client.write(Buffer.of(3, 3, 97, 98, 99, 0, 1));
    if (reply !== 0) return void client.end();
    stop();
    join(client, to, sockets);
  });
  const sockets = noteSockets(server);
  return listening(server, sockets, { asked, logins });
}

/** Reads so many bytes; a peer that goes away leaves the caller waiting, and is forgotten with it. */
function reader(socket: Socket): { read: (length: number) => Promise<Buffer>; stop: () => void } {
  let buffer = Buffer.alloc(0);
  let wake = () => {};
  const onData = (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    wake();
  };
  socket.on('data', onData);
  return {
    async read(length) {
      while (buffer.length < length) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const bytes = buffer.subarray(0, length);
      buffer = buffer.subarray(length);
      return bytes;
    },
    stop: () => void socket.off('data', onData).pause(),
  };
}

function join(client: Socket, to: number, sockets: Set<Socket>): void {
  const upstream = connect(to, '127.0.0.1');
  sockets.add(upstream);
  upstream.pipe(client).pipe(upstream);
  for (const [end, other] of [[client, upstream] as const, [upstream, client] as const]) {
    end.on('error', () => end.destroy()).on('close', () => other.destroy());
  }
}

function noteSockets(server: Server): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  return sockets;
}

async function listening(
  server: Server,
  sockets: Set<Socket>,
  notes: Pick<TestProxy, 'asked' | 'logins'>,
): Promise<TestProxy> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...notes,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
