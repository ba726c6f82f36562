import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

/** One request, as its bytes came. */
export interface RawRequest {
  /** Request line and headers. */
  head: string;
  /** What came of its body with the head. */
  rest: Buffer;
  socket: Socket;
  /** Which request of its connection it is, from 1. */
  turn: number;
}

export interface RawServer extends AsyncDisposable {
  url: URL;
  /** Connections so far. */
  connections(): number;
}

/** A server that answers the head of each request with whatever bytes a test writes. It reads no bodies. */
export async function rawServer(answer: (request: RawRequest) => void, tls?: TlsOptions): Promise<RawServer> {
  const open = new Set<Socket>();
  let connections = 0;
  const onConnection = (socket: Socket) => {
    connections += 1;
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => {});
    let text = '';
    let turn = 0;
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const [head, rest] = [text.slice(0, end), Buffer.from(text.slice(end + 4), 'latin1')];
      text = '';
      turn += 1;
      answer({ head, rest, socket, turn });
    });
  };
  const server = tls === undefined ? createServer(onConnection) : createTlsServer(tls, onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/`),
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((settle) => server.close(settle));
    },
  };
}
