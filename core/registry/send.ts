import type { AuthEntry } from '../model/credentials.ts';
import { hasCode, type TranshipError, toTranshipError } from '../model/errors.ts';
import { type Authorization, authorize, otherLogin, type Renewal, type Wanted } from './auth/authorize.ts';
import { parseChallenges, scopeOf } from './auth/challenge.ts';
import { guestToken } from './auth/guest.ts';
import { basicAuthorization, unauthorized } from './auth/token.ts';
import { type Call, callError } from './call.ts';
import { parseErrors, refusal } from './http-error.ts';
import { noteUnanswered, responseTimeoutOf } from './patience.ts';
import { findReach, knownReach, reachWith } from './reach.ts';
import type { Endpoint, Reach } from './state.ts';
import { discard, readStart } from './wire/body.ts';
import { noBytes } from './wire/byte-source.ts';
import { learnScheme, ping } from './wire/endpoint.ts';
import { exchange, type HomePath, isHome, type RegistryResponse, type WireRequest } from './wire/exchange.ts';
import { followFrom, isRead, isRedirect } from './wire/follow.ts';
import { isStreamed } from './wire/http1/outgoing-body.ts';
import { isPlainUrl } from './wire/plain-url.ts';

/** A request to a registry, before it is known how to reach it and who asks. */
export interface RegistryRequest extends Omit<WireRequest, 'authorization'>, Wanted {
  /** Path and query at the registry, from `/v2/`; or a whole URL that it gave. */
  url: string | URL;
}

/**
 * Sends a request with the user's login. {@link exchange} sends it, {@link followFrom} follows redirects,
 * {@link authorize} says who asks, {@link sendAs} renews a token that is refused, and {@link afterDenial} looks for
 * another login when one is refused. Nothing is retried for any other reason.
 *
 * Few of these are functions that wait: each that does costs a small request a tenth of its time.
 *
 * @returns the response, whatever its status but 401
 * @throws TranshipError `unauthorized`: permanent where no login is accepted, transient where a streamed body is spent
 */
export function send(call: Call, request: RegistryRequest): Promise<RegistryResponse> {
  const reach = knownReach(call);
  if (reach !== undefined) return sendAs(call, reach, request);
  return findReach(call).then((found) => sendAs(call, found, request));
}

/** Why another login is to be tried. */
type Denial =
  /** 403 to a Basic login: it lacks the right, or has expired (ECR). Only another login can tell. */
  | { kind: 'forbidden'; response: RegistryResponse }
  /** The registry or its token server does not accept it. */
  | { kind: 'refused'; error: TranshipError };

/** Sends the request with another login, where there is one and this was the first. */
async function afterDenial(
  call: Call,
  refused: Reach,
  request: RegistryRequest,
  isSecond: boolean,
  denial: Denial,
): Promise<RegistryResponse> {
  const other = isSecond ? undefined : await otherLogin(call, refused.login);
  if (other === undefined) {
    if (denial.kind === 'refused') throw denial.error;
    return denial.response;
  }
  if (denial.kind === 'forbidden') await discard(denial.response.body);
  return sendAs(call, await reachWith(call, other), request, true);
}

/** The path of a URL at the registry that need not be read as one: in none of its steps does it lead up. */
function plainPath({ origin }: Endpoint, url: string | URL): HomePath | undefined {
  if (typeof url !== 'string') return undefined;
  const path = url.startsWith(origin) ? url.slice(origin.length) : url;
  return path.startsWith('/v2/') && isPlainUrl(path) && !path.includes('/.') ? path : undefined;
}

/** Sends a request with one login. After a 401 it is sent again, by the scheme of the challenge or with a new token. */
async function sendAs(call: Call, reach: Reach, request: RegistryRequest, isSecond = false): Promise<RegistryResponse> {
  const { endpoint, login } = reach;
  const url = plainPath(endpoint, request.url) ?? new URL(request.url, endpoint.base);
  const isAtHome = isHome(endpoint, url);
  let renewal: Renewal | undefined;
  for (;;) {
    let sent: Authorization | undefined;
    try {
      if (isAtHome && asksForLogin(endpoint, login)) sent = await authorize(call, endpoint, login, request, renewal);
    } catch (error) {
      if (hasCode(error, 'unauthorized'))
        return afterDenial(call, reach, request, isSecond, { kind: 'refused', error });
      throw error;
    }
    const { method, headers, body } = request;
    const authorization = sent?.header;
    const responseTimeoutMs = responseTimeoutOf(call, request);
    const own: WireRequest = { method, url, headers, body, authorization, responseTimeoutMs };
    let response: RegistryResponse;
    try {
      response = await exchange(call, endpoint, own);
      if (isRedirect(response.status)) response = await followFrom(call, endpoint, own, response);
      if (response.status === 401 && response.isForeign) response = await askAsGuest(call, endpoint, own, response);
    } catch (error) {
      noteUnanswered(call, request, toTranshipError(error));
      throw error;
    }
    if (sent !== undefined) response.secrets = response.secrets.concat(sent.secrets);
    const { status } = response;
    if (status < 400) return response;
    if (isAtHome && hidesFromAnonymous(endpoint, login, response)) {
      await discard(response.body);
      endpoint.auth = { kind: 'basic' };
      if (!isStreamed(request.body)) continue;
      throw await spentBody(call, endpoint, login, request, response, sent);
    }
    if (response.isForeign || !isAuthFailure(response, sent)) return response;
    if (isStreamed(request.body)) {
      if (status === 403) return response;
      throw await spentBody(call, endpoint, login, request, response, sent);
    }
    if (status === 403 && endpoint.auth.kind === 'basic') {
      return afterDenial(call, reach, request, isSecond, { kind: 'forbidden', response });
    }
    const errors = parseErrors(await readStart(response.body, 64 * 1024), response.secrets);
    renewal = await renewalAfter(call, endpoint, login, response, sent, renewal);
    if (renewal === undefined) {
      const said = `status ${status}${errors.text && ` (${errors.text})`}`;
      const error = status === 403 ? refusal(call, response, errors) : unauthorized(call, login, said, status);
      return afterDenial(call, reach, request, isSecond, { kind: 'refused', error });
    }
  }
}

/** Asks the registry that a read was redirected to once more, with a token that it gives to anyone. */
async function askAsGuest(
  call: Call,
  endpoint: Endpoint,
  request: WireRequest,
  refused: RegistryResponse,
): Promise<RegistryResponse> {
  await discard(refused.body);
  const token = isRead(request) ? await guestToken(call, endpoint, refused) : undefined;
  if (token === undefined) return { ...refused, body: noBytes };
  const { url } = refused;
  const response = await exchange(call, endpoint, { ...request, url, authorization: `Bearer ${token}` });
  const secrets = [token];
  if (!isRedirect(response.status)) return { ...response, secrets };
  return { ...(await followFrom(call, endpoint, { ...request, url, authorization: undefined }, response)), secrets };
}

function asksForLogin({ auth }: Endpoint, login: AuthEntry | undefined): boolean {
  return auth.kind !== 'none' || login?.registryToken !== undefined;
}

/**
 * True where nobody was asked to log in so far, there is a login, and the registry denies what was asked for. Some let
 * anyone ask `/v2/` and hide what is not public (Artifactory with anonymous access). go-containerregistry sends the
 * login to each registry that asks for none.
 */
function hidesFromAnonymous(
  { auth }: Endpoint,
  login: AuthEntry | undefined,
  { status, isForeign }: RegistryResponse,
): boolean {
  const isDenial = status === 403 || status === 404;
  return isDenial && !isForeign && auth.kind === 'none' && basicAuthorization(login) !== undefined;
}

function isAuthFailure(response: RegistryResponse, sent: Authorization | undefined): boolean {
  if (response.status === 401) return true;
  if (response.status !== 403) return false;
  const isBasic = sent !== undefined && sent.token === undefined;
  return isBasic || parseChallenges(response.headers['www-authenticate']).some(isInsufficientScope);
}

/** RFC 6750 section 3.1. Some registries send it with 403, others with 401. */
function isInsufficientScope({ params }: { params: ReadonlyMap<string, string> }): boolean {
  return params.get('error') === 'insufficient_scope';
}

/**
 * How to ask again after a 401: first by the scheme that its challenge names, then, where a token was refused, with a
 * new one. Notes the scheme for the next requests.
 *
 * @returns undefined where nothing is left to try with this login
 */
async function renewalAfter(
  call: Call,
  endpoint: Endpoint,
  login: AuthEntry | undefined,
  response: RegistryResponse,
  sent: Authorization | undefined,
  previous: Renewal | undefined,
): Promise<Renewal | undefined> {
  const challenge = learnScheme(endpoint, response);
  if (challenge === undefined && previous === undefined) await ping(call, endpoint);
  const hasLogin = basicAuthorization(login) !== undefined;
  if (endpoint.auth.kind === 'none' && hasLogin) endpoint.auth = { kind: 'basic' };
  if (login?.registryToken !== undefined) return undefined;
  if (endpoint.auth.kind === 'bearer') {
    // Without a token so far, our own scope is tried first: that of a challenge may be a placeholder
    // (`repository:user/image:pull`).
    if (sent?.token === undefined) return previous === undefined ? {} : undefined;
    if (previous?.refused !== undefined) return undefined;
    return { refused: sent.token, challengeScope: scopeOf(challenge?.params.get('scope')) };
  }
  // Asked of the request, not of the scheme before it: another request may have learned the scheme meanwhile.
  const isRefused = sent !== undefined && sent.token === undefined;
  return hasLogin && !isRefused && previous === undefined ? {} : undefined;
}

/** A streamed body cannot be sent twice: the token is renewed, and the caller repeats the whole upload. */
async function spentBody(
  call: Call,
  endpoint: Endpoint,
  login: AuthEntry | undefined,
  request: RegistryRequest,
  response: RegistryResponse,
  sent: Authorization | undefined,
): Promise<TranshipError> {
  await discard(response.body);
  if (endpoint.auth.kind === 'bearer') await authorize(call, endpoint, login, request, { refused: sent?.token });
  const { status } = response;
  return callError(call, `status ${status} in the middle of an upload`, {
    class: 'transient',
    code: 'unauthorized',
    status,
  });
}
