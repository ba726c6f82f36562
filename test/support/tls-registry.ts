import { readFileSync } from 'node:fs';
import { createServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** A file of test/support/fixtures/. */
export function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');
}

export interface TlsRegistry extends AsyncDisposable {
  /** `127.0.0.1:port` */
  host: string;
  port: number;
  target: { registry: string; repository: string; tag: string };
  /** The common name of each request's client certificate; undefined for none. */
  clients: Array<string | undefined>;
}

/** A registry on 127.0.0.1 that speaks TLS, answers `/v2/` and knows no manifest. */
export async function tlsRegistry(certificate = 'server', options: ServerOptions = {}): Promise<TlsRegistry> {
  const clients: Array<string | undefined> = [];
  const key = fixture(certificate.startsWith('corp') ? 'corp-key.pem' : 'server-key.pem');
  const server = createServer({ cert: fixture(`${certificate}.pem`), key, ...options }, (request, response) => {
    clients.push((request.socket as TLSSocket).getPeerCertificate().subject?.CN?.toString());
    response.writeHead(request.url === '/v2/' ? 200 : 404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const host = `127.0.0.1:${port}`;
  return {
    host,
    port,
    target: { registry: host, repository: 'a', tag: '1' },
    clients,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
