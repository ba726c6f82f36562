import { configurationError } from '../../model/errors.ts';
import { bareHost } from './address-guard.ts';
import { type IsDirect, parseNoProxy } from './no-proxy.ts';

/** A proxy: plain HTTP, HTTP over TLS, or SOCKS version 5. */
export interface ProxyServer {
  kind: 'http' | 'https' | 'socks5';
  /** Name or address, IPv6 without brackets. */
  host: string;
  port: number;
  login?: { username: string; password: string };
  /** The variable that it comes from, for messages. */
  variable: string;
}

/** The proxies to reach registries by. */
export interface ProxySettings {
  http?: ProxyServer;
  https?: ProxyServer;
  isDirect: IsDirect;
}

type Env = Record<string, string | undefined>;

const kinds: Record<string, ProxyServer['kind']> = {
  http: 'http',
  https: 'https',
  // What GNOME writes.
  socks: 'socks5',
  // Names are resolved by the proxy for both, as in Go.
  socks5: 'socks5',
  socks5h: 'socks5',
};
const defaultPorts = { http: 80, https: 443, socks5: 1080 };

/**
 * The proxies that an environment names. HTTPS_PROXY is for https URLs, HTTP_PROXY for http URLs, ALL_PROXY for
 * whichever has no variable of its own, NO_PROXY for the exceptions. The lower-case name comes first. Under CGI
 * (REQUEST_METHOD is set) HTTP_PROXY is ignored, since there a client's `Proxy` header sets it.
 *
 * @returns undefined where it names none
 * @throws TranshipError `configuration` that names the variable, not its value, which may hold a login
 * @see https://pkg.go.dev/golang.org/x/net/http/httpproxy#FromEnvironment
 * @see https://curl.se/docs/manpage.html#ENVIRONMENT
 */
export function readProxySettings(env: Env): ProxySettings | undefined {
  const isCgi = Boolean(env.REQUEST_METHOD);
  const all = firstOf(env, 'all_proxy', 'ALL_PROXY');
  const https = firstOf(env, 'https_proxy', 'HTTPS_PROXY') ?? all;
  const http = firstOf(env, 'http_proxy', ...(isCgi ? [] : ['HTTP_PROXY'])) ?? all;
  if (https === undefined && http === undefined) return undefined;
  return {
    https: https && parseProxy(https.name, https.value),
    http: http && parseProxy(http.name, http.value),
    isDirect: parseNoProxy(firstOf(env, 'no_proxy', 'NO_PROXY')?.value ?? ''),
  };
}

/** The proxy that a request to `url` goes through; undefined for a direct connection. */
export function proxyFor(settings: ProxySettings | undefined, url: URL): ProxyServer | undefined {
  if (settings === undefined) return undefined;
  const proxy = url.protocol === 'https:' ? settings.https : settings.http;
  return proxy === undefined || settings.isDirect(url) ? undefined : proxy;
}

/** The proxy for messages: `host:port`, without its login. */
export function proxyName({ host, port }: ProxyServer): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The value of a Proxy-Authorization header; undefined where the proxy has no login. */
export function proxyAuthorization({ login }: ProxyServer): string | undefined {
  if (login === undefined) return undefined;
  return `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
}

function firstOf(env: Env, ...names: string[]): { name: string; value: string } | undefined {
  for (const name of names) {
    const value = env[name]?.trim();
    if (value) return { name, value };
  }
  return undefined;
}

/**
 * Reads `[scheme://][user[:password]@]host[:port][/]`. The login ends at the last `@`, so that special characters in it
 * need no escapes; where it has some, they are decoded.
 */
function parseProxy(variable: string, text: string): ProxyServer {
  const [, scheme = 'http', login, host = '', port] =
    /^(?:([a-z0-9+.-]+):\/\/)?(?:(.*)@)?(\[[0-9a-f:.]+\]|[^\s@:/?#\\]+)(?::(\d{1,5}))?\/?$/i.exec(text) ?? [];
  const kind = kinds[scheme.toLowerCase()];
  const url = URL.parse(`http://${host}`);
  if (kind === undefined || url === null || Number(port ?? 0) > 65_535) {
    throw configurationError(`${variable} is not the URL of a proxy`, {
      mend: 'Write it as http://host:port, https://host:port or socks5://host:port, or unset it.',
    });
  }
  return {
    kind,
    host: bareHost(url.hostname),
    port: port === undefined ? defaultPorts[kind] : Number(port),
    login: login === undefined ? undefined : parseLogin(login),
    variable,
  };
}

function parseLogin(text: string): ProxyServer['login'] {
  const [, username = '', password = ''] = /^([^:]*):?(.*)$/s.exec(text) ?? [];
  return { username: decode(username), password: decode(password) };
}

/** Percent-decoded; a stray `%` stays as it is, as in curl. */
function decode(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escaped) => Buffer.from(escaped.replaceAll('%', ''), 'hex').toString());
}
