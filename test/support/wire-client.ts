import { createSecureContext } from 'node:tls';
import { readBody } from '../../core/registry/wire/body.ts';
import { type Connections, type ConnectionsOptions, createConnections } from '../../core/registry/wire/connections.ts';
import type { Http1Request, Http1Response } from '../../core/registry/wire/http1/connection.ts';
import { lengthOfBody } from '../../core/registry/wire/http1/outgoing-body.ts';
import { formatFields, formatRequestHead } from '../../core/registry/wire/http1/request-head.ts';

export interface WireClient extends Disposable {
  connections: Connections;
  send(url: URL, request?: Partial<Http1Request>): Promise<Http1Response>;
  /** Status and body. */
  ask(url: URL, method?: string): Promise<{ status: number; body: string }>;
}

/** The wire without what stands above it: no logins, no redirects, nothing sent twice. */
export function wireClient(options: Partial<ConnectionsOptions> = {}): WireClient {
  const closing = new AbortController();
  const connections = createConnections({
    proxy: undefined,
    userAgent: 'test',
    secureContext: async () => createSecureContext(),
    proxyContext: async () => createSecureContext(),
    rejectUnauthorized: false,
    stallMs: 60_000,
    signal: closing.signal,
    most: 4,
    maxIdleMs: 60_000,
    ...options,
  });
  const send: WireClient['send'] = async (url, { method = 'GET', ...request } = {}) => {
    const connection = await connections.take(url, request.signal);
    const { body } = request;
    const headers = { host: url.host, 'content-length': body && String(lengthOfBody(body)) };
    const head = formatRequestHead(method, url.pathname, formatFields(headers));
    return connection.request({ method, head, headTimeoutMs: 60_000, stallMs: 60_000, ...request });
  };
  return {
    connections,
    send,
    async ask(url, method = 'GET') {
      const { status, body } = await send(url, { method });
      return { status, body: (await readBody(body, 1_000_000)).toString('latin1') };
    },
    [Symbol.dispose]() {
      closing.abort();
      connections.close();
    },
  };
}
