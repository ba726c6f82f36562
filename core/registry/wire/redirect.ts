import { isAllowedHost, withHomeScheme } from '../auth/realm.ts';
import { type Call, callError } from '../call.ts';
import type { Endpoint } from '../state.ts';
import { checkLiteralHost } from './address-guard.ts';
import { networkError } from './network-error.ts';

/**
 * Where a `Location` leads, if one may go there: http or https, and not to an address inside a network that the
 * registry is not in. From https to http only to a server of the same name, which is then asked by https; or where the
 * user has set `insecure`. The caller must not authenticate to another origin.
 *
 * @param from URL of the request that was answered with it
 * @param location absolute or relative
 * @throws TranshipError `protocol` or `unsafe`, permanent
 */
export async function resolveLocation(
  call: Call,
  endpoint: Endpoint,
  from: URL,
  location: string | string[] | undefined,
): Promise<URL> {
  const text = typeof location === 'string' && location.length <= 16 * 1024 ? location : '';
  const named = text === '' ? null : URL.parse(text, from.href);
  if (named === null || (named.protocol !== 'https:' && named.protocol !== 'http:')) {
    throw callError(call, 'the registry gave no usable Location', { class: 'permanent', code: 'protocol' });
  }
  if (named.username !== '' || named.password !== '') {
    throw callError(call, `the registry sent us to ${named.host} with a login in the URL`, {
      class: 'permanent',
      code: 'unsafe',
    });
  }
  const to = withHomeScheme(named, from);
  // With `insecure` the user has given up TLS for this registry. Logins do not go to another origin, and digests are
  // checked.
  if (from.protocol === 'https:' && to.protocol === 'http:' && !endpoint.insecure) {
    const mend = `if its storage has no https, set insecure: true in the auth entry of ${endpoint.registry}: contents are checked by digest, and no login is sent there`;
    throw callError(call, `the registry sent us from https to plain http at ${to.host}`, {
      class: 'permanent',
      code: 'unsafe',
      mend,
    });
  }
  await checkAddress(call, endpoint, to);
  return to;
}

/**
 * Refuses a URL at an address inside a network that the registry is not in. Names are checked when they are resolved.
 * @throws TranshipError `unsafe`, permanent
 */
export async function checkAddress(call: Call, endpoint: Endpoint, url: URL): Promise<void> {
  if (url.origin === endpoint.base.origin || isAllowedHost(url, call.client.options.allowedRealms)) return;
  await checkLiteralHost(endpoint.base.hostname, url.hostname).catch((error: unknown) => {
    throw networkError(error, call, url.host);
  });
}
