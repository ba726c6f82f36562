import { isAllowedHost } from '../auth/realm.ts';
import { type Call, callError } from '../call.ts';
import type { Endpoint } from '../state.ts';
import { checkLiteralHost } from './address-guard.ts';
import { networkError } from './network-error.ts';

/**
 * Where a `Location` leads, if one may go there: http or https, never from https to http, and not to an address inside a
 * network that the registry is not in. The caller must not authenticate to another origin.
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
  const to = text === '' ? null : URL.parse(text, from.href);
  if (to === null || (to.protocol !== 'https:' && to.protocol !== 'http:')) {
    throw callError(call, 'the registry gave no usable Location', { class: 'permanent', code: 'protocol' });
  }
  if (to.username !== '' || to.password !== '') {
    throw callError(call, `the registry sent us to ${to.host} with a login in the URL`, {
      class: 'permanent',
      code: 'unsafe',
    });
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw callError(call, `the registry sent us from https to plain http at ${to.host}`, {
      class: 'permanent',
      code: 'unsafe',
      mend: 'tell the registry its external URL, or its proxy to pass X-Forwarded-Proto',
    });
  }
  if (to.origin !== endpoint.base.origin && !isAllowedHost(to, call.client.options.allowedRealms)) {
    await checkLiteralHost(endpoint.base.hostname, to.hostname).catch((error: unknown) => {
      throw networkError(error, call, to.host);
    });
  }
  return to;
}
