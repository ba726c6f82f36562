import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { bareHost, literalKind } from './address-guard.ts';

/** One entry of NO_PROXY. */
type Exception =
  | { kind: 'network'; list: BlockList; port: string }
  | { kind: 'domain'; domain: string; withItself: boolean; port: string };

/** Tells whether a URL is reached without a proxy. */
export type IsDirect = (url: URL) => boolean;

/**
 * Reads a list as in NO_PROXY, divided by commas or blanks. An entry is `*` for all hosts; a domain, for itself and all
 * names below it, with or without a leading dot; `*.domain` for the names below it only; an IP address; or a network
 * such as `10.0.0.0/8`, which holds for hosts written as IP addresses. All but networks may end with `:port`. Loopback
 * is always direct. Where Go and curl differ, the entry excepts more: `.example.com` includes `example.com`, as in
 * curl.
 *
 * @see https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
 * @see https://curl.se/libcurl/c/CURLOPT_NOPROXY.html
 */
export function parseNoProxy(text: string): IsDirect {
  const entries = text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '');
  if (entries.includes('*')) return () => true;
  const exceptions = entries.flatMap((entry) => parseException(entry) ?? []);
  return (url) => {
    const host = bareHost(url.hostname);
    if (literalKind(host) === 'loopback') return true;
    return exceptions.some((exception) => matches(exception, host, portOf(url)));
  };
}

/** The port that a URL means, as text. */
function portOf(url: URL): string {
  return url.port || (url.protocol === 'https:' ? '443' : '80');
}

function parseException(entry: string): Exception | undefined {
  const network = /^\[?([0-9a-f.:]+)\]?\/(\d{1,3})$/.exec(entry);
  if (network !== null) {
    const [, address = '', prefix] = network;
    return networkOf(address, Number(prefix), '');
  }
  // Only brackets, or a single colon, divide a port from its host: `::1:443` is an address.
  const [, bracketed, plain, port = ''] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? [];
  const host = bareHost(bracketed ?? plain ?? entry);
  if (isIP(host) !== 0) return networkOf(host, isIP(host) === 4 ? 32 : 128, port);
  const domain = domainToASCII(host.replace(/^\*?\.+/, ''));
  return domain === '' ? undefined : { kind: 'domain', domain, withItself: !host.startsWith('*.'), port };
}

function networkOf(address: string, prefix: number, port: string): Exception | undefined {
  const family = isIP(address);
  if (family === 0 || prefix > (family === 4 ? 32 : 128)) return undefined;
  const list = new BlockList();
  list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  return { kind: 'network', list, port };
}

function matches(exception: Exception, host: string, port: string): boolean {
  if (exception.port !== '' && exception.port !== port) return false;
  const family = isIP(host);
  if (exception.kind === 'network') return family !== 0 && exception.list.check(host, family === 4 ? 'ipv4' : 'ipv6');
  if (family !== 0) return false;
  return host.endsWith(`.${exception.domain}`) || (exception.withItself && host === exception.domain);
}
