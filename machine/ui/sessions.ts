import { createHash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { isOneOf } from '../../core/announce/constant-time.ts';

const SESSION_MS = 12 * 3_600_000;
const MOST_SESSIONS = 1_000;
/** Wrong tokens from one address within the window. */
const MOST_TRIES = 10;
const WINDOW_MS = 60_000;
const MOST_ADDRESSES = 10_000;

export type LoginResult = { kind: 'in'; cookie: string } | { kind: 'wrong' } | { kind: 'later'; seconds: number };

/** Who has logged in, in memory: after a restart everybody logs in again. */
export interface Sessions {
  /** @param address of the client, whose wrong tokens are counted */
  login(token: string, address: string): LoginResult;
  isIn(cookies: string | undefined): boolean;
  /** @returns the cookie that takes the browser's away */
  logout(cookies: string | undefined): string;
}

/**
 * @param options.token what lets somebody in
 * @param options.path the cookie is sent below it
 * @param options.port a browser sends cookies to every port of a host, so that the port is in the cookie's name
 */
export function createSessions(options: {
  token: string;
  path: string;
  port: () => number;
  now: () => number;
}): Sessions {
  const { token, path, port, now } = options;
  /** By hashed cookie: when it ends, epoch ms. */
  const sessions = new LRUCache<string, number>({ max: MOST_SESSIONS });
  const wrong = new LRUCache<string, { count: number; until: number }>({ max: MOST_ADDRESSES });
  const cookieName = () => `tranship_${port()}`;
  const attributes = `Path=${path}; HttpOnly; SameSite=Strict`;

  function idOf(cookies = ''): string | undefined {
    const start = `${cookieName()}=`;
    const cookie = cookies.split('; ').find((one) => one.startsWith(start));
    return cookie === undefined ? undefined : hashed(cookie.slice(start.length));
  }

  function refuse(address: string): LoginResult {
    const tries = wrong.get(address);
    const isOpen = tries === undefined || tries.until <= now();
    if (!isOpen && tries.count >= MOST_TRIES) {
      return { kind: 'later', seconds: Math.ceil((tries.until - now()) / 1000) };
    }
    wrong.set(address, isOpen ? { count: 1, until: now() + WINDOW_MS } : { ...tries, count: tries.count + 1 });
    return { kind: 'wrong' };
  }

  return {
    login(given, address) {
      // First of all: behind a proxy all who log in have one address.
      if (!isOneOf(given, [token])) return refuse(address);
      const id = randomBytes(32).toString('base64url');
      sessions.set(hashed(id), now() + SESSION_MS);
      return { kind: 'in', cookie: `${cookieName()}=${id}; ${attributes}; Max-Age=${SESSION_MS / 1000}` };
    },
    isIn(cookies) {
      const id = idOf(cookies);
      return id !== undefined && (sessions.get(id) ?? 0) > now();
    },
    logout(cookies) {
      const id = idOf(cookies);
      if (id !== undefined) sessions.delete(id);
      return `${cookieName()}=; ${attributes}; Max-Age=0`;
    },
  };
}

/** What is looked up is not what the browser has: the time of a look-up tells nothing. */
function hashed(id: string): string {
  return createHash('sha256').update(id).digest('base64url');
}
