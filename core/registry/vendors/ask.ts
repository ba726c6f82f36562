import { lookupLogin } from '../auth/authorize.ts';
import { basicAuthorization } from '../auth/token.ts';
import { type Call, callError } from '../call.ts';
import { errorOf } from '../http-error.ts';
import { send } from '../send.ts';
import { endpointFor } from '../wire/endpoint.ts';
import { type RegistryResponse, readResponse } from '../wire/exchange.ts';
import { follow } from '../wire/follow.ts';

/** A page of 1,000 tags with all that vendors say of each. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
/** Nobody waits long for what can be had in another way. */
const TIMEOUT_MS = 10_000;

/**
 * Who asks: `anonymous`; `basic`, name and password of the registry's login, which go to the registry's own host only;
 * or `registry`, as for the registry itself.
 */
export type AskAs = 'anonymous' | 'basic' | 'registry';

/**
 * A JSON document of a vendor's own API. Asked for once: nothing depends on it.
 * @param url path and query at the registry, or a whole URL
 * @throws TranshipError for any status but 200, and for what is not JSON
 */
export async function askVendor(
  call: Call,
  url: string,
  as: AskAs,
): Promise<{ document: unknown; link: string | string[] | undefined }> {
  const response = await get(call, url, as);
  if (response.status !== 200) throw await errorOf(call, response);
  const body = await readResponse(call, response, MAX_PAGE_BYTES);
  try {
    return { document: JSON.parse(body.toString('utf8')), link: response.headers.link };
  } catch (cause) {
    throw callError(call, 'the answer is not JSON', { class: 'permanent', code: 'protocol', cause });
  }
}

async function get(call: Call, url: string, as: AskAs): Promise<RegistryResponse> {
  const headers = { accept: 'application/json' };
  if (as === 'registry') return send(call, { method: 'GET', url, headers, responseTimeoutMs: TIMEOUT_MS });
  const login = await lookupLogin(call);
  const endpoint = await endpointFor(call, login);
  const authorization = as === 'basic' && login?.password !== undefined ? basicAuthorization(login) : undefined;
  const secrets = authorization === undefined ? [] : [authorization.slice(6), login?.password ?? ''];
  const response = await follow(call, endpoint, {
    method: 'GET',
    url: new URL(url, endpoint.base),
    headers,
    authorization,
    responseTimeoutMs: TIMEOUT_MS,
  });
  return { ...response, secrets };
}
