import { hasCode } from '../../model/errors.ts';
import type { Call } from '../call.ts';
import type { Endpoint } from '../state.ts';
import { type RegistryResponse, urlOf } from '../wire/exchange.ts';
import { bearerChallenge, scopeOf } from './challenge.ts';
import { checkRealm } from './realm.ts';
import { getToken } from './token.ts';

/**
 * The token that another registry gives to anyone, where a registry redirects its readers there and it answers 401. No
 * login is sent, and its token server has to be its own.
 *
 * @returns undefined where there is none to be had
 * @throws TranshipError where the token server gives no answer, or asks for patience
 */
export async function guestToken(
  call: Call,
  endpoint: Endpoint,
  response: Pick<RegistryResponse, 'headers' | 'url'>,
): Promise<string | undefined> {
  const challenge = bearerChallenge(response.headers['www-authenticate']);
  if (challenge === undefined) return undefined;
  const { params } = challenge;
  const url = urlOf(endpoint, response.url);
  const scope = scopeOf(params.get('scope'));
  try {
    // As strict as for a login, though there is none: what the token server says goes to the host that named it.
    const realm = await checkRealm(params.get('realm') ?? '', url, {
      registry: url.host,
      registryHost: url.hostname,
      insecure: endpoint.insecure,
      allowedRealms: call.client.options.allowedRealms,
      hasLogin: true,
    });
    return await getToken(call, endpoint, undefined, {
      realm: realm.href,
      service: params.get('service'),
      scopes: scope === undefined ? [] : [scope],
      lifetimeMs: 0,
    });
  } catch (error) {
    if (hasCode(error, 'unauthorized', 'denied', 'unsafe', 'protocol')) return undefined;
    throw error;
  }
}
