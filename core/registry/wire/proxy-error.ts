import { TranshipError } from '../../model/errors.ts';
import { type ProxyServer, proxyName } from './proxy.ts';

/** A proxy that cannot be reached, or could not reach what it was asked for: transient. */
export function proxyFailure(proxy: ProxyServer, what: string, cause?: unknown): TranshipError {
  return new TranshipError(about(proxy, what), { class: 'transient', code: 'network', cause });
}

/** A proxy that will refuse the same again: permanent. */
export function proxyRefuses(proxy: ProxyServer, what: string, mend: string): TranshipError {
  return new TranshipError(about(proxy, what), { class: 'permanent', code: 'network', mend });
}

function about(proxy: ProxyServer, what: string): string {
  return `the proxy ${proxyName(proxy)} (${proxy.variable}) ${what}`;
}

/**
 * A status by which an HTTP proxy refuses to connect, as an error that names the proxy, not the registry.
 * @param where what was to be reached: `host:port`
 */
export function proxyStatus(
  proxy: ProxyServer,
  where: string,
  { status, challenge = [] }: { status: number; challenge?: string[] | string },
): TranshipError {
  const what = `refuses to connect to ${where}: status ${status}`;
  const host = where.replace(/:\d+$/, '');
  if (status === 407) return proxyRefuses(proxy, what, loginMend(proxy, [challenge].flat().join(', ')));
  if (status < 500 && ![408, 425, 429].includes(status)) {
    const mend = `have ${where} allowed at the proxy, or add ${host} to NO_PROXY if it is reached without one`;
    return proxyRefuses(proxy, what, mend);
  }
  return proxyFailure(proxy, what);
}

function loginMend(proxy: ProxyServer, challenge: string): string {
  const schemes = challenge.match(/(?<=^|,\s*)(?:basic|digest|negotiate|ntlm|bearer)(?=[\s,]|$)/gi) ?? [];
  if (schemes.length > 0 && !schemes.some((scheme) => scheme.toLowerCase() === 'basic')) {
    return `it takes only ${schemes.join(', ')}, and Tranship speaks Basic: run a proxy between that logs in (px, cntlm)`;
  }
  return proxy.login === undefined
    ? `it wants a login: write it into ${proxy.variable} as http://user:password@host:port`
    : `check the user and password in ${proxy.variable}; in a URL, % must be written as %25`;
}
