import { isIP, type LookupFunction, type Socket } from 'node:net';
import { type ConnectionOptions, type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { TranshipError } from '../../model/errors.ts';
import { certificateMend, explainCertificate, isCertificateCode } from './certificate.ts';
import { dial } from './dial.ts';
import { codeOf, reasonOf } from './error-code.ts';
import { type Connection, createConnection } from './http1/connection.ts';
import { createPool, type Pool } from './http1/pool.ts';
import { wireError } from './http1/wire-error.ts';
import { type ProxyServer, type ProxySettings, proxyFor } from './proxy.ts';
import { proxyFailure, proxyRefuses } from './proxy-error.ts';
import { openSocks } from './socks.ts';
import { openTunnel, type Target } from './tunnel.ts';

/** As in Go's net/http, and no more than any other silence of a peer. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Connections to any number of origins. */
export interface Connections {
  /** A connection to the origin of a URL that is free now. */
  takeIdle(url: URL): Connection | undefined;
  /**
   * A free connection to the origin of a URL, as soon as there is one.
   * @throws what opening one failed with; the reason of the signal
   */
  take(url: URL, signal: AbortSignal | undefined): Promise<Connection>;
  /** Closes all, also those at work. */
  close(): void;
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
  /** To one origin. May change. */
  readonly most: number;
  /** How long a connection is kept without a request at most. */
  maxIdleMs: number;
}

/** Connections that are opened directly or by way of a proxy, as the settings say for each origin. */
export function createConnections(options: ConnectionsOptions): Connections {
  const sessions = new Map<string, Buffer>();
  const pools = new Map<string, Pool>();
  /** Most requests name their registry by the same object. */
  const origins = new WeakMap<URL, string>();

  function originOf(url: URL): string {
    let origin = origins.get(url);
    if (origin === undefined) {
      ({ origin } = url);
      origins.set(url, origin);
    }
    return origin;
  }

  function poolFor(url: URL): Pool {
    const origin = originOf(url);
    let pool = pools.get(origin);
    if (pool === undefined) {
      pool = createPool({
        get most() {
          return options.most;
        },
        maxIdleMs: options.maxIdleMs,
        open: async (events) => createConnection(await open(url, options, sessions), events),
        onEmpty: () => pools.delete(origin),
      });
      pools.set(origin, pool);
    }
    return pool;
  }

  return {
    takeIdle: (url) => poolFor(url).takeIdle(),
    take: (url, signal) => poolFor(url).take(signal),
    close() {
      for (const pool of pools.values()) pool.close();
    },
  };
}

async function open(url: URL, options: ConnectionsOptions, sessions: Map<string, Buffer>): Promise<Socket> {
  const isTls = url.protocol === 'https:';
  const target = { host: hostOf(url), port: Number(url.port) || (isTls ? 443 : 80) };
  const proxy = proxyFor(options.proxy, url);
  // Before there is a socket that would have to be closed: files may turn out to be wrong.
  const context = isTls ? await options.secureContext() : undefined;
  const tls = context && tlsOptions(target.host, context, options, sessions);
  if (proxy === undefined) {
    const socket = await dial(target.host, target.port, { ...options, tls });
    return tls === undefined ? socket : handshake(socket as TLSSocket, tls);
  }
  const socket = await openThroughProxy(proxy, target, isTls, options);
  return tls === undefined ? socket : handshake(tlsConnect({ ...tls, socket }), tls);
}

/** Without brackets. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
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
    // Without a landing: what speaks to the proxy reads the socket in other ways.
    const socket = await dial(proxy.host, proxy.port, { signal, isBare: true });
    if (context === undefined) return socket;
    const tls = tlsOptions(proxy.host, context, { rejectUnauthorized: true, stallMs });
    return await handshake(tlsConnect({ ...tls, socket }), tls);
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

interface TlsOptions extends ConnectionOptions {
  host: string;
  timeoutMs: number;
  onSession?: (session: Buffer) => void;
}

/** @param sessions to go on with, by host; without it none is kept */
function tlsOptions(
  host: string,
  secureContext: SecureContext,
  { rejectUnauthorized, stallMs }: Pick<ConnectionsOptions, 'rejectUnauthorized' | 'stallMs'>,
  sessions?: Map<string, Buffer>,
): TlsOptions {
  return {
    host,
    // An address is no server name (RFC 6066 section 3).
    ...(isIP(host) === 0 && { servername: host }),
    secureContext,
    rejectUnauthorized,
    session: sessions?.get(host),
    ALPNProtocols: ['http/1.1'],
    timeoutMs: Math.min(HANDSHAKE_TIMEOUT_MS, stallMs),
    onSession: (session) => sessions?.set(host, session),
  };
}

/** Waits for the handshake of a socket that has begun it. */
function handshake(secured: TLSSocket, { host, timeoutMs, onSession }: TlsOptions): Promise<TLSSocket> {
  return new Promise((settle, reject) => {
    const timer = setTimeout(() => secured.destroy(wireError('CONNECT_TIMEOUT', 'no TLS handshake')), timeoutMs);
    secured.on('session', (session: Buffer) => onSession?.(session));
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
