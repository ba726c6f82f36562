import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/**
 * Headers of every response: nothing is asked of another host, nothing runs that is not the page's own, no other page
 * may frame it, nothing is kept in a cache unless a response says otherwise.
 * https://developer.mozilla.org/docs/Web/HTTP/Guides/CSP
 */
export const guardHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
};

/** A header that no form and no script of another origin can send without being asked first. */
const REQUEST_HEADER = 'x-tranship';

/**
 * Whether a request was meant for this server. A page of another site can have its own name resolve to this address
 * ("DNS rebinding"), and then asks by that name; an address itself, and `localhost`, cannot be rebound.
 *
 * @param names other names of this server, in lower case, without ports
 */
export function isOwnHost(host: string | undefined, names: readonly string[]): boolean {
  const name = hostName(host);
  if (name === undefined) return false;
  return name === 'localhost' || isIP(name.replace(/^\[|\]$/g, '')) !== 0 || names.includes(name);
}

/** The name of a host, in lower case and without the port; undefined where it is none. */
export function hostName(host: string | undefined): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[^:[\]/@\s]+)(?::\d{1,5})?$/i.exec(host ?? '')?.[1]?.toLowerCase();
}

/**
 * Whether a request that changes something comes from the page itself. Browsers say where a request comes from by
 * `Sec-Fetch-Site` and `Origin`; the header of ours makes them ask first, and nothing answers that.
 */
export function isFromPage(headers: IncomingHttpHeaders): boolean {
  const { host, origin } = headers;
  const site = headers['sec-fetch-site'];
  if (headers[REQUEST_HEADER] !== '1') return false;
  if (site !== undefined && site !== 'same-origin') return false;
  return origin === undefined || isOriginAt(origin, host);
}

/**
 * Whether an origin is at this host, by any scheme: a proxy may have taken TLS off. Its port is compared where `Host`
 * has one: nginx's `$host` has none, whatever port the browser asks.
 */
function isOriginAt(origin: string, host = ''): boolean {
  const [, ofOrigin = ''] = /^https?:\/\/(.+)$/i.exec(origin) ?? [];
  if (ofOrigin.toLowerCase() === host.toLowerCase()) return true;
  const name = hostName(host);
  return name !== undefined && name === host.toLowerCase() && name === hostName(ofOrigin);
}
