import { type Call, callError } from '../call.ts';
import type { Endpoint } from '../state.ts';
import { discard } from './body.ts';
import { exchange, isHome, type RegistryResponse, urlOf, type WireRequest } from './exchange.ts';
import { isStreamed } from './http1/outgoing-body.ts';
import { resolveLocation } from './redirect.ts';

/** curl and Go stop at 50 and 10; no registry needs more than two. */
export const MAX_REDIRECTS = 5;

/**
 * A request and its redirects. `authorization` goes to the registry's own origin only.
 * @throws TranshipError where there is no response, or as {@link followFrom}
 */
export async function follow(call: Call, endpoint: Endpoint, request: WireRequest): Promise<RegistryResponse> {
  const first = isHome(endpoint, request.url) ? request : { ...request, authorization: undefined };
  return followFrom(call, endpoint, first, await exchange(call, endpoint, first));
}

/**
 * Where the response to a request leads, if it is a redirect. A read is followed to wherever {@link resolveLocation}
 * allows. Once a redirect has left the registry's own origin, `authorization` is not sent again, since the target could
 * send us back with a URL of its choice. Any other request is followed on that origin, as it is: bytes and changes go
 * nowhere else. A redirect of a streamed body is returned, since the stream is spent.
 *
 * @throws TranshipError where there is no response, `protocol` for redirects without end, `unsafe` for one that may not
 *   be followed
 */
export async function followFrom(
  call: Call,
  endpoint: Endpoint,
  request: WireRequest,
  first: RegistryResponse,
): Promise<RegistryResponse> {
  let response = first;
  let next = request;
  for (let redirects = 0; ; redirects += 1) {
    if (!isRedirect(response.status) || !canRepeat(request, response.status)) return response;
    await discard(response.body);
    if (redirects === MAX_REDIRECTS) {
      throw callError(call, `redirected more than ${MAX_REDIRECTS} times`, { class: 'permanent', code: 'protocol' });
    }
    const from = urlOf(endpoint, next.url);
    const to = await resolveLocation(call, endpoint, from, response.headers.location);
    if (!isRead(request) && to.origin !== from.origin) throw leavesHome(call, endpoint, request, to);
    next = { ...next, url: to, ...(!isHome(endpoint, to) && { authorization: undefined }) };
    response = await exchange(call, endpoint, next);
  }
}

export function isRedirect(status: number): boolean {
  return status >= 301 && [301, 302, 303, 307, 308].includes(status);
}

/** A stream is spent; and 303 would make another request of it, a GET (RFC 9110 section 15.4.4). */
function canRepeat(request: WireRequest, status: number): boolean {
  return isRead(request) || (status !== 303 && !isStreamed(request.body));
}

/** True for a request that changes nothing, and may be sent to another host. */
export function isRead({ method }: Pick<WireRequest, 'method'>): boolean {
  return method === 'GET' || method === 'HEAD';
}

function leavesHome(call: Call, endpoint: Endpoint, { method }: WireRequest, to: URL) {
  return callError(call, `the registry redirects a ${method} to ${to.host}, and only reads may leave it`, {
    class: 'permanent',
    code: 'unsafe',
    mend: `if ${to.host} is the registry, name it instead of ${endpoint.registry}`,
  });
}
