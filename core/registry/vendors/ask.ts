import { checkRealm } from '../auth/realm.ts';
import { basicAuthorization } from '../auth/token.ts';
import { type Call, callError } from '../call.ts';
import { errorOf } from '../http-error.ts';
import { findReach } from '../reach.ts';
import { send } from '../send.ts';
import type { Endpoint } from '../state.ts';
import { exchange, type RegistryResponse, readResponse } from '../wire/exchange.ts';
import { follow } from '../wire/follow.ts';

/** A page of 1,000 tags with all that vendors say of each. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;

/**
 * Who asks: `anonymous`; `basic`, name and password of the registry's login, which go to the registry's own host only;
 * `bearer`, its password as a token, which goes to hosts that a login may be sent to; or `registry`, as for the registry
 * itself.
 */
export type AskAs = 'anonymous' | 'basic' | 'bearer' | 'registry';

/** What a vendor's API says. */
export interface VendorAnswer {
  document: unknown;
  link: string | string[] | undefined;
}

/**
 * A JSON document of a vendor's own API. Not retried here.
 * @param url path and query at the registry, or a whole URL
 * @param timeoutMs time for the head of the response to come
 * @throws TranshipError for any status but 200, and for what is not JSON
 */
export async function askVendor(call: Call, url: string, as: AskAs, timeoutMs: number): Promise<VendorAnswer> {
  const response = await get(call, url, as, timeoutMs);
  if (response.status !== 200) throw await errorOf(call, response);
  const body = await readResponse(call, response, MAX_PAGE_BYTES);
  try {
    return { document: JSON.parse(body.toString('utf8')), link: response.headers.link };
  } catch (cause) {
    throw callError(call, 'the answer is not JSON', { class: 'permanent', code: 'protocol', cause });
  }
}

async function get(call: Call, url: string, as: AskAs, responseTimeoutMs: number): Promise<RegistryResponse> {
  const headers = { accept: 'application/json' };
  if (as === 'registry') return send(call, { method: 'GET', url, headers, responseTimeoutMs });
  const { login, endpoint } = await findReach(call);
  if (as === 'bearer') return getWithToken(call, endpoint, { url, responseTimeoutMs }, login?.password);
  const authorization = as === 'basic' && login?.password !== undefined ? basicAuthorization(login) : undefined;
  const secrets = authorization === undefined ? [] : [authorization.slice(6), login?.password ?? ''];
  const response = await follow(call, endpoint, {
    method: 'GET',
    url: new URL(url, endpoint.base),
    headers,
    authorization,
    responseTimeoutMs,
  });
  return { ...response, secrets };
}

/** Follows no redirect: the token is for this host alone. */
async function getWithToken(
  call: Call,
  endpoint: Endpoint,
  { url, responseTimeoutMs }: { url: string; responseTimeoutMs: number },
  token: string | undefined,
): Promise<RegistryResponse> {
  const { registry } = call.repository;
  if (token === undefined) {
    throw callError(call, `${registry} lists repositories only for a login`, {
      class: 'permanent',
      code: 'unauthorized',
      mend: `put a login for ${registry} into the auth file`,
    });
  }
  const rules = {
    registryHost: endpoint.base.hostname,
    registry,
    insecure: endpoint.insecure,
    allowedRealms: call.client.options.allowedRealms,
    hasLogin: true,
  };
  const response = await exchange(call, endpoint, {
    method: 'GET',
    url: await checkRealm(url, endpoint.base, rules),
    headers: { accept: 'application/json' },
    authorization: `Bearer ${token}`,
    responseTimeoutMs,
  });
  return { ...response, secrets: [token] };
}
