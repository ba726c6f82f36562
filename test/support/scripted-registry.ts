import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AuthEntry } from '../../core/model/credentials.ts';
import type { Repository } from '../../core/model/reference.ts';
import {
  closeRegistryClient,
  createRegistryClient,
  type RegistryClient,
  type RegistryClientOptions,
} from '../../core/registry/client.ts';

export interface ScriptedRequest {
  method: string;
  /** Path and query, as sent. */
  url: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface ScriptedAnswer {
  status?: number;
  headers?: OutgoingHttpHeaders;
  body?: string | Buffer;
}

/** What the registry does with a request: an answer, `hang up`, or its own writing to the response. */
export type Script = (
  request: ScriptedRequest,
  response: ServerResponse,
) => ScriptedAnswer | 'hang up' | 'answered' | undefined;

export interface ScriptedRegistry extends AsyncDisposable {
  /** `127.0.0.1:port` */
  host: string;
  url: string;
  /** All requests but the pings of `/v2/`, in order. */
  requests: ScriptedRequest[];
  /** `METHOD url` of each. */
  log(): string[];
}

/**
 * A registry of plain http on a free port that does what a test says. `/v2/` answers 200 where the script leaves it
 * alone.
 */
export async function scriptedRegistry(script: Script, address = '127.0.0.1'): Promise<ScriptedRegistry> {
  const requests: ScriptedRequest[] = [];
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk);
    } catch {
      return;
    }
    const { method = '', url = '', headers } = incoming;
    const request = { method, url, headers, body: Buffer.concat(chunks) };
    if (url !== '/v2/') requests.push(request);
    const answer =
      script(request, response) ?? (url === '/v2/' ? { status: 200 } : { status: 500, body: 'not scripted' });
    if (answer === 'answered') return;
    if (answer === 'hang up') return void incoming.socket.destroy();
    response.writeHead(answer.status ?? 200, answer.headers).end(method === 'HEAD' ? undefined : answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  const host = `${address.includes(':') ? `[${address}]` : address}:${port}`;
  return {
    host,
    url: `http://${host}`,
    requests,
    log: () => requests.map(({ method, url }) => `${method} ${url}`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const login = { username: 'me', password: 'hunter2' };

/** A registry that wants Basic, so that every request to it carries a login. */
export const withLogin =
  (script: Script): Script =>
  (request, response) =>
    request.headers.authorization === undefined
      ? { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } }
      : script(request, response);

export type TestClient = RegistryClient & AsyncDisposable;

/** A client that reaches scripted registries (plain http), and does not wait long for anything. */
export function testClient(options: Partial<RegistryClientOptions> & { login?: AuthEntry } = {}): TestClient {
  const { login, ...rest } = options;
  const client = createRegistryClient({
    credentials: { lookup: async () => ({ insecure: true, ...login }) },
    retry: { attempts: 3, baseMs: 1, capMs: 2 },
    ...rest,
  });
  return Object.assign(client, { [Symbol.asyncDispose]: () => closeRegistryClient(client) });
}

export function repositoryAt(registry: ScriptedRegistry, repository = 'team/app'): Repository {
  return { registry: registry.host, repository };
}

/** An OCI error document. */
export function ociError(status: number, code: string, message = ''): ScriptedAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ errors: [{ code, message }] }),
  };
}
