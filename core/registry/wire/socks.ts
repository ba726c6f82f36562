import { isIPv4, isIPv6, type Socket } from 'node:net';
import { TranshipError } from '../../model/errors.ts';
import { reasonOf } from './error-code.ts';
import type { ProxyServer } from './proxy.ts';
import { proxyFailure, proxyRefuses } from './proxy-error.ts';
import { type Target, targetName } from './tunnel.ts';

const ANSWER_TIMEOUT_MS = 30_000;

/** RFC 1928 section 6, "REP". The first two are decisions of the proxy's; the others may pass. */
const refusals: Record<number, string> = {
  2: 'not allowed by its rules',
  7: 'it does not know the command',
  1: 'general failure',
  3: 'network unreachable',
  4: 'host unreachable',
  5: 'connection refused',
  6: 'TTL expired',
  8: 'address type not supported',
};

/**
 * Asks a SOCKS 5 proxy for a connection (RFC 1928), with user and password (RFC 1929) where the proxy has a login. The
 * proxy resolves the target's name, as in Go for `socks5` and `socks5h` alike.
 *
 * @param socket connected to the proxy; destroyed where this fails
 * @returns the same socket, which leads to the target from now on
 * @throws TranshipError `network`: permanent where the proxy refuses, transient where it could not reach the target
 */
export async function openSocks(
  socket: Socket,
  proxy: ProxyServer,
  target: Target,
  signal?: AbortSignal,
): Promise<Socket> {
  const onAbort = () => socket.destroy(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
    socket.destroy(new Error(`no answer in ${ANSWER_TIMEOUT_MS / 1000} s`));
  });
  const answers = byteReader(socket);
  try {
    await negotiate(socket, answers, proxy, target);
    answers.release();
    socket.removeAllListeners('timeout').setTimeout(0);
    return socket;
  } catch (error) {
    socket.destroy();
    if (signal?.aborted || error instanceof TranshipError) throw error;
    throw proxyFailure(proxy, `failed while it connected to ${targetName(target)} (${reasonOf(error)})`, error);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

async function negotiate(socket: Socket, answers: ByteReader, proxy: ProxyServer, target: Target): Promise<void> {
  const { login } = proxy;
  // Method 0 is no login, 2 is user and password.
  socket.write(login === undefined ? Buffer.of(5, 1, 0) : Buffer.of(5, 2, 0, 2));
  const [version, method] = await answers.read(2);
  if (version !== 5) throw new Error('it does not speak SOCKS 5');
  if (method === 2 && login !== undefined) await logIn(socket, answers, proxy, login);
  else if (method !== 0) {
    throw proxyRefuses(
      proxy,
      'refuses to let us in: it wants a login',
      `write it into ${proxy.variable} as socks5://user:password@host:port`,
    );
  }
  socket.write(Buffer.concat([Buffer.of(5, 1, 0), addressOf(target.host), portOf(target.port)]));
  const [, reply = 0, , kind] = await answers.read(4);
  if (reply !== 0) {
    const name = targetName(target);
    const what = `refuses to connect to ${name}: ${refusals[reply] ?? `reply ${reply}`}`;
    if (reply === 2 || reply === 7)
      throw proxyRefuses(proxy, what, `have ${name} allowed at the proxy, or add ${target.host} to NO_PROXY`);
    throw proxyFailure(proxy, what);
  }
  // The address that the proxy connects from: of no use, but it must be out of the way.
  const length = kind === 4 ? 16 : kind === 3 ? ((await answers.read(1))[0] ?? 0) : 4;
  await answers.read(length + 2);
}

async function logIn(
  socket: Socket,
  answers: ByteReader,
  proxy: ProxyServer,
  login: { username: string; password: string },
): Promise<void> {
  const fields = [login.username, login.password].map((text) => Buffer.from(text));
  if (fields.some(({ length }) => length > 255)) {
    throw proxyRefuses(proxy, 'cannot take a user or password of more than 255 bytes', `mend ${proxy.variable}`);
  }
  socket.write(Buffer.concat([Buffer.of(1), ...fields.flatMap((field) => [Buffer.of(field.length), field])]));
  const [, status] = await answers.read(2);
  if (status !== 0) throw proxyRefuses(proxy, 'refuses the login', `check the user and password in ${proxy.variable}`);
}

function addressOf(host: string): Buffer {
  if (isIPv4(host)) return Buffer.from([1, ...host.split('.').map(Number)]);
  if (isIPv6(host)) return Buffer.from([4, ...ipv6Bytes(host)]);
  const name = Buffer.from(host);
  return Buffer.concat([Buffer.of(3, name.length), name]);
}

function ipv6Bytes(address: string): number[] {
  // The URL parser writes an IPv4 tail as groups.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left = '', right] = canonical.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const [head, tail] = [groups(left), groups(right ?? '')];
  const all = [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return all.flatMap((group) => [group >> 8, group & 255]);
}

function portOf(port: number): Buffer {
  return Buffer.of(port >> 8, port & 255);
}

interface ByteReader {
  /** @throws where the peer hangs up first */
  read(length: number): Promise<Buffer>;
  /** Leaves the socket to its next owner, paused, with what was not read. */
  release(): void;
}

/**
 * By `data` events: a stream with too few bytes for a `read(length)` would call its `readable` listeners again and
 * again.
 */
function byteReader(socket: Socket): ByteReader {
  let buffer = Buffer.alloc(0);
  let wake = () => {};
  const onData = (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    // More than all answers together: not SOCKS, whatever it is.
    if (buffer.length > 1024) socket.destroy(new Error('it does not speak SOCKS 5'));
    wake();
  };
  const onEnd = () => wake();
  socket.on('data', onData);
  for (const name of ['end', 'error', 'close']) socket.on(name, onEnd);
  return {
    async read(length) {
      while (buffer.length < length) {
        if (socket.readableEnded || socket.destroyed) throw socket.errored ?? new Error('it hung up');
        await new Promise<void>((settle) => {
          wake = settle;
        });
      }
      const bytes = buffer.subarray(0, length);
      buffer = buffer.subarray(length);
      return bytes;
    },
    release() {
      socket.off('data', onData).pause();
      for (const name of ['end', 'error', 'close']) socket.off(name, onEnd);
      if (buffer.length > 0) socket.unshift(buffer);
    },
  };
}
