import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { TranshipError } from '../../model/errors.ts';
import { reasonOf } from './error-code.ts';
import { type ProxyServer, proxyAuthorization } from './proxy.ts';
import { proxyFailure, proxyStatus } from './proxy-error.ts';

/** A proxy connects to the host before it answers, which may take as long as our own connecting. */
const ANSWER_TIMEOUT_MS = 30_000;

/** What a socket has to be connected to. */
export interface Target {
  /** Name or address, IPv6 without brackets. */
  host: string;
  port: number;
}

/** `host:port`, as CONNECT and messages have it. */
export function targetName({ host, port }: Target): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Asks an HTTP proxy for a tunnel by CONNECT (RFC 9110 section 9.3.6). The proxy resolves the target's name.
 *
 * @param socket connected to the proxy; destroyed where this fails
 * @returns the same socket, which leads to the target from now on
 * @throws TranshipError `network`: permanent where the proxy refuses (4xx), transient where it could not reach the
 *   target
 */
export async function openTunnel(
  socket: Socket,
  proxy: ProxyServer,
  target: Target,
  { userAgent, signal }: { userAgent: string; signal?: AbortSignal },
): Promise<Socket> {
  const name = targetName(target);
  const authorization = proxyAuthorization(proxy);
  const asked = request({
    method: 'CONNECT',
    path: name,
    headers: {
      host: name,
      'user-agent': userAgent,
      ...(authorization !== undefined && { 'proxy-authorization': authorization }),
    },
    createConnection: () => socket,
    signal,
    timeout: ANSWER_TIMEOUT_MS,
  });
  // Node's `Connection: close` would be about the tunnel.
  asked.removeHeader('connection');
  try {
    const answer = await answerOf(asked);
    const status = answer.statusCode ?? 0;
    if (status < 200 || status > 299) {
      throw proxyStatus(proxy, name, { status, challenge: answer.headers['proxy-authenticate'] });
    }
    socket.removeAllListeners('timeout').setTimeout(0);
    return socket;
  } catch (error) {
    socket.destroy();
    if (signal?.aborted || error instanceof TranshipError) throw error;
    throw proxyFailure(proxy, `failed while it connected to ${name} (${reasonOf(error)})`, error);
  }
}

function answerOf(asked: ClientRequest): Promise<IncomingMessage> {
  return new Promise((settle, reject) => {
    // `connect` comes for any status.
    asked.once('connect', (answer) => settle(answer));
    asked.once('timeout', () => asked.destroy(new Error(`no answer in ${ANSWER_TIMEOUT_MS / 1000} s`)));
    asked.once('error', reject);
    asked.end();
  });
}
