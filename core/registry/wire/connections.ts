import type { LookupFunction, Socket } from 'node:net';
import { type SecureContext, connect as tlsConnect } from 'node:tls';
import { Agent, type buildConnector, errors } from 'undici';
import type { TranshipError } from '../../model/errors.ts';
import { certificateMend, explainCertificate, isCertificateCode } from './certificate.ts';
import { dial } from './dial.ts';
import { codeOf, reasonOf } from './error-code.ts';
import { type ProxyServer, type ProxySettings, proxyFor } from './proxy.ts';
import { proxyFailure, proxyRefuses } from './proxy-error.ts';
import { openSocks } from './socks.ts';
import { openTunnel, type Target } from './tunnel.ts';

/** As in Go's net/http, and no more than any other silence of a peer. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A pool of connections, by origin. */
export interface Connections {
  readonly agent: Agent;
  /** How many were begun so far, also those that failed. */
  opened: number;
}

export interface ConnectionsOptions {
  proxy: ProxySettings | undefined;
  userAgent: string;
  /** What is trusted of the peers, and the client's certificates; asked for when it is needed. */
  secureContext: () => Promise<SecureContext>;
  /** The same for proxies that speak TLS. */
  proxyContext: () => Promise<SecureContext>;
  /** False where certificates are not checked; those of proxies always are. */
  rejectUnauthorized: boolean;
  /** For names that are connected to directly. */
  lookup?: LookupFunction;
  /** Silence of a peer after which it is given up. */
  stallMs: number;
  /** Ends what is being connected. */
  signal: AbortSignal;
  pool: Omit<Agent.Options, 'connect'>;
}

/** Connections that are opened directly or by way of a proxy, as the settings say for each origin. */
export function createConnections(options: ConnectionsOptions): Connections {
  const sessions = new Map<string, Buffer>();
  const connections: Connections = {
    opened: 0,
    agent: new Agent({
      ...options.pool,
      connect(target, callback) {
        connections.opened += 1;
        open(target, options, sessions).then(
          (socket) => callback(null, socket),
          (thrown: unknown) => callback(thrown instanceof Error ? thrown : new Error(String(thrown)), null),
        );
      },
    }),
  };
  return connections;
}

async function open(
  { hostname, port, protocol, servername }: buildConnector.Options,
  options: ConnectionsOptions,
  sessions: Map<string, Buffer>,
): Promise<Socket> {
  const isTls = protocol === 'https:';
  const target = { host: hostname, port: Number(port) || (isTls ? 443 : 80) };
  const bracketed = hostname.includes(':') ? `[${hostname}]` : hostname;
  const proxy = proxyFor(options.proxy, new URL(`${protocol}//${bracketed}:${target.port}`));
  // Before there is a socket that would have to be closed: files may turn out to be wrong.
  const context = isTls ? await options.secureContext() : undefined;
  const socket = await (proxy === undefined
    ? dial(target.host, target.port, options)
    : openThroughProxy(proxy, target, isTls, options));
  if (context === undefined) return socket;
  const { rejectUnauthorized, stallMs } = options;
  return startTls(socket, { host: hostname, servername, context, rejectUnauthorized, stallMs, sessions });
}

/** A socket to the target, or, for plain http, to the proxy that passes requests on. */
async function openThroughProxy(
  proxy: ProxyServer,
  target: Target,
  isTls: boolean,
  options: ConnectionsOptions,
): Promise<Socket> {
  const { signal, userAgent } = options;
  const socket = await reachProxy(proxy, options);
  if (proxy.kind === 'socks5') return openSocks(socket, proxy, target, signal);
  return isTls ? openTunnel(socket, proxy, target, { userAgent, signal }) : socket;
}

async function reachProxy(proxy: ProxyServer, { signal, stallMs, proxyContext }: ConnectionsOptions): Promise<Socket> {
  try {
    const context = proxy.kind === 'https' ? await proxyContext() : undefined;
    const socket = await dial(proxy.host, proxy.port, { signal });
    if (context === undefined) return socket;
    return await startTls(socket, { host: proxy.host, context, rejectUnauthorized: true, stallMs });
  } catch (error) {
    if (signal.aborted) throw error;
    throw unreachable(proxy, error);
  }
}

function unreachable(proxy: ProxyServer, error: unknown): TranshipError {
  const code = codeOf(error);
  if (isCertificateCode(code)) {
    const mend = certificateMend(
      code,
      proxy.host,
      'add its authority to what is trusted here, for example by SSL_CERT_FILE',
    );
    return proxyRefuses(proxy, `has a certificate that is not accepted: ${reasonOf(error)}`, mend);
  }
  if (code === 'ENOTFOUND') return proxyRefuses(proxy, 'is not known to DNS', `check the host in ${proxy.variable}`);
  return proxyFailure(proxy, `cannot be reached (${reasonOf(error)})`, error);
}

interface TlsOptions {
  host: string;
  /** As undici gives it: nothing for an IP address. */
  servername?: string;
  context: SecureContext;
  rejectUnauthorized: boolean;
  stallMs: number;
  /** Sessions to go on with, by server name. */
  sessions?: Map<string, Buffer>;
}

function startTls(
  socket: Socket,
  { host, servername, context, rejectUnauthorized, stallMs, sessions }: TlsOptions,
): Promise<Socket> {
  return new Promise((settle, reject) => {
    const key = servername || host;
    const secured = tlsConnect({
      socket,
      host,
      servername,
      secureContext: context,
      rejectUnauthorized,
      session: sessions?.get(key),
      ALPNProtocols: ['http/1.1'],
    });
    const timeoutMs = Math.min(HANDSHAKE_TIMEOUT_MS, stallMs);
    const timer = setTimeout(() => secured.destroy(new errors.ConnectTimeoutError()), timeoutMs);
    secured.on('session', (session) => sessions?.set(key, session));
    // Before Node judges the certificate and closes: afterwards it can no longer be read. getPeerX509Certificate()
    // would take it away from Node's own check (24.21).
    let seen: Buffer | undefined;
    secured.prependOnceListener('secure', () => {
      seen = secured.getPeerCertificate().raw;
    });
    secured.once('secureConnect', () => {
      clearTimeout(timer);
      settle(secured);
    });
    secured.on('error', (error) => {
      clearTimeout(timer);
      reject(explainCertificate(error, seen, host));
    });
  });
}
