import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction, connect as netConnect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';
import { connectWithLanding } from './http1/landing.ts';
import { wireError } from './http1/wire-error.ts';
import { forgetName, lookUp } from './look-up.ts';

export interface DialOptions {
  /** Default: Node's, of the operating system's resolver. */
  lookup?: LookupFunction;
  signal?: AbortSignal;
  /** For all addresses together, once they are known. Default 10,000. */
  timeoutMs?: number;
  /** Makes TLS sockets of this host, which begin their handshake when they are connected. */
  tls?: ConnectionOptions;
  /** The socket is read in other ways than by a landing. */
  isBare?: boolean;
}

const TIMEOUT_MS = 10_000;
/** A resolver whose first server is silent takes 5 s for each name that it tries, and in a pod there are five. */
const LOOKUP_TIMEOUT_MS = 30_000;
/**
 * How long an address is waited for before the next one is tried beside it (RFC 8305 section 5; Go's FallbackDelay).
 */
const NEXT_ADDRESS_MS = 300;
/**
 * A resolver that is just starting says "no such name", too, so a name is looked up once more before it is believed not
 * to exist.
 */
const SECOND_LOOKUP_MS = 1000;

const socketOptions = { highWaterMark: 64 * 1024, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };

/**
 * Connects to the first address of a host that answers. Addresses are tried in the resolver's order with families
 * taking turns; a slow one is not given up when the next begins, unlike with Node's `autoSelectFamily`, which ends
 * every attempt but the last after 250 ms and so cannot reach a distant host with several addresses.
 *
 * @param host name or address, IPv6 without brackets
 * @throws what the lookup or the first address failed with, `LOOKUP_TIMEOUT` or `CONNECT_TIMEOUT`
 */
export async function dial(host: string, port: number, options: DialOptions = {}): Promise<Socket> {
  const { signal, lookup = dnsLookup as LookupFunction, timeoutMs = TIMEOUT_MS } = options;
  const addresses = await within(
    signal,
    LOOKUP_TIMEOUT_MS,
    () => wireError('LOOKUP_TIMEOUT', 'no answer of DNS'),
    (stop) => resolve(host, lookup, stop),
  );
  const begin = (address: LookupAddress) => beginSocket(address, port, options);
  try {
    return await within(
      signal,
      timeoutMs,
      () => wireError('CONNECT_TIMEOUT', 'no connection'),
      (stop) => race(interleave(addresses), begin, stop),
    );
  } catch (error) {
    forgetName(host, lookup);
    throw error;
  }
}

/** Does work that is stopped with its signal, or when its time is over. */
async function within<T>(
  signal: AbortSignal | undefined,
  ms: number,
  tooLate: () => Error,
  work: (stop: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(tooLate()), ms);
  try {
    return await work(signal === undefined ? timeout.signal : AbortSignal.any([signal, timeout.signal]));
  } finally {
    clearTimeout(timer);
  }
}

async function resolve(host: string, lookup: LookupFunction, stop: AbortSignal): Promise<LookupAddress[]> {
  if (isIP(host) !== 0) return [{ address: host, family: isIP(host) }];
  try {
    return await lookUp(host, lookup, stop);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTFOUND') throw error;
    await sleep(SECOND_LOOKUP_MS, undefined, { signal: stop }).catch(() => {});
    return lookUp(host, lookup, stop);
  }
}

/** First of one family, first of the other, second of the one… (RFC 8305 section 4). */
function interleave(addresses: LookupAddress[]): LookupAddress[] {
  const [first] = addresses;
  const same = addresses.filter(({ family }) => family === first?.family);
  const other = addresses.filter(({ family }) => family !== first?.family);
  return same.flatMap((address, at) => [address, ...other.slice(at, at + 1)]).concat(other.slice(same.length));
}

function beginSocket({ address, family }: LookupAddress, port: number, { tls, isBare }: DialOptions): Socket {
  if (isBare) return netConnect({ ...socketOptions, host: address, family, port });
  return connectWithLanding((landing) => {
    if (tls === undefined) return netConnect({ ...socketOptions, ...landing, host: address, family, port });
    const lookup: LookupFunction = (_host, _options, found) => found(null, address, family);
    const { noDelay, keepAlive, keepAliveInitialDelay } = socketOptions;
    return tlsConnect({ ...tls, ...landing, port, lookup, autoSelectFamily: false } as ConnectionOptions)
      .setNoDelay(noDelay)
      .setKeepAlive(keepAlive, keepAliveInitialDelay);
  });
}

function race(
  addresses: LookupAddress[],
  begin: (address: LookupAddress) => Socket,
  stop: AbortSignal,
): Promise<Socket> {
  return new Promise((settle, reject) => {
    const open = new Set<Socket>();
    const rest = [...addresses];
    let firstFailure: Error | undefined;
    let timer: NodeJS.Timeout | undefined;

    const end = (winner: Socket | undefined, error?: Error) => {
      clearTimeout(timer);
      rest.length = 0;
      stop.removeEventListener('abort', onStop);
      for (const socket of open) if (socket !== winner) socket.destroy();
      open.clear();
      if (winner !== undefined) settle(winner);
      else reject(error);
    };
    const onStop = () => end(undefined, stop.reason);
    const next = () => {
      clearTimeout(timer);
      const address = rest.shift();
      if (address === undefined) {
        if (open.size === 0) end(undefined, firstFailure ?? new Error('the name has no address'));
        return;
      }
      const socket = begin(address);
      open.add(socket);
      const onError = (error: Error) => {
        firstFailure ??= error;
        open.delete(socket);
        next();
      };
      socket.on('error', onError);
      socket.once('connect', () => {
        socket.off('error', onError);
        // Until its next owner listens, an error must not end the process.
        socket.on('error', () => {});
        end(socket);
      });
      if (rest.length > 0) timer = setTimeout(next, NEXT_ADDRESS_MS);
    };

    if (stop.aborted) return onStop();
    stop.addEventListener('abort', onStop, { once: true });
    next();
  });
}
