import { type Call, callError } from '../call.ts';
import type { Endpoint } from '../state.ts';
import { discard } from './body.ts';
import { exchange, type RegistryResponse, type WireRequest } from './exchange.ts';
import { resolveLocation } from './redirect.ts';

/** curl and Go stop at 50 and 10; no registry needs more than two. */
const MAX_REDIRECTS = 5;

/**
 * A request, and the redirects of a read. `authorization` goes to the registry's own origin only; once a redirect has left
 * that, it is not sent again, since the target could send us back with a URL of its choice.
 *
 * @throws TranshipError where there is no response, `protocol` for redirects without end, `unsafe` for one that may not be followed
 */
export async function follow(call: Call, endpoint: Endpoint, request: WireRequest): Promise<RegistryResponse> {
  let { url } = request;
  let isHome = url.origin === endpoint.base.origin;
  for (let redirects = 0; ; redirects += 1) {
    const authorization = isHome ? request.authorization : undefined;
    const response = await exchange(call, endpoint, { ...request, url, authorization });
    if (!isRedirect(response.status) || !isRead(request)) return response;
    await discard(response.body);
    if (redirects === MAX_REDIRECTS) {
      throw callError(call, `redirected more than ${MAX_REDIRECTS} times`, { class: 'permanent', code: 'protocol' });
    }
    url = await resolveLocation(call, endpoint, url, response.headers.location);
    isHome = isHome && url.origin === endpoint.base.origin;
  }
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

function isRead({ method }: WireRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}
