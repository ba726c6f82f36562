import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { configurationError } from '../../model/errors.ts';

/** Proxies to reach registries by, as URLs, and the hosts that are reached without one. */
export interface ProxySettings {
  http: string;
  https: string;
  /** Hosts, domains or `*`, divided by commas. */
  none: string;
}

/** Go's tools never send loopback to a proxy (golang.org/x/net/http/httpproxy). */
const ALWAYS_DIRECT = 'localhost,127.0.0.1,::1';

/**
 * The proxies that the environment names: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, lower case first, as curl and Go read them.
 * @returns undefined where it names none
 * @throws TranshipError `configuration` that names the variable, not its value, which may hold a login
 */
export function readProxySettings(env: Record<string, string | undefined>): ProxySettings | undefined {
  const read = (name: string) => env[name.toLowerCase()] || env[name] || '';
  const settings = {
    http: read('HTTP_PROXY'),
    https: read('HTTPS_PROXY'),
    none: `${read('NO_PROXY')},${ALWAYS_DIRECT}`,
  };
  if (settings.http === '' && settings.https === '') return undefined;
  for (const kind of ['http', 'https'] as const) {
    if (settings[kind] === '' || /^https?:$/.test(URL.parse(settings[kind])?.protocol ?? '')) continue;
    throw configurationError(`${kind.toUpperCase()}_PROXY is not the URL of a proxy`, {
      mend: 'Write it as http://host:port, or unset it.',
    });
  }
  return settings;
}

/** A pool of connections, through the proxy where the settings and the host of a request say so. */
export function createDispatcher(proxy: ProxySettings | undefined, options: Agent.Options): Dispatcher {
  if (proxy === undefined) return new Agent(options);
  const { connect, ...rest } = options;
  const tls = typeof connect === 'object' ? connect : {};
  return new EnvHttpProxyAgent({
    ...rest,
    connect: tls,
    requestTls: tls,
    httpProxy: proxy.http,
    httpsProxy: proxy.https,
    noProxy: proxy.none,
  });
}
