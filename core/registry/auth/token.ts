import { createHash } from 'node:crypto';
import type { AuthEntry } from '../../model/credentials.ts';
import { rephrase, type TranshipError } from '../../model/errors.ts';
import { waitFor } from '../abort.ts';
import { type Call, callError } from '../call.ts';
import { isMarkup, parseErrors, refusal, tooDeepForHub } from '../http-error.ts';
import type { CachedToken, Endpoint, Token } from '../state.ts';
import { discard, readStart } from '../wire/body.ts';
import { exchange, type RegistryResponse, readResponse, urlOf } from '../wire/exchange.ts';
import { isRedirect, MAX_REDIRECTS } from '../wire/follow.ts';
import { checkAddress, resolveLocation } from '../wire/redirect.ts';
import { checkRealm } from './realm.ts';

export interface TokenRequest {
  realm: string;
  service: string | undefined;
  /** The needed one first: some servers read no more (go-containerregistry). */
  scopes: readonly string[];
  /** What a challenge asked for after `scopes` were not enough. Asked for first, where `scopes` do not cover it. */
  challengeScope?: string;
  /** The token must still be valid so long. */
  lifetimeMs: number;
  /** A token that the registry has refused. */
  refused?: string;
}

const MAX_TOKEN_BYTES = 1024 * 1024;
/** The lifetime where a server states none, or a shorter one (distribution's token spec, containers/image). */
const MIN_LIFETIME_S = 60;
/** Clocks differ, and a request takes a while. */
const RENEW_EARLY_MS = 5000;

/**
 * A bearer token for one repository, from the cache while it is valid. Callers that want the same one share one
 * request.
 * @throws TranshipError `unauthorized` where the login is not accepted, `unsafe` for a realm that is not to be trusted
 */
export async function getToken(
  call: Call,
  endpoint: Endpoint,
  login: AuthEntry | undefined,
  request: TokenRequest,
): Promise<string> {
  const { tokens } = call.client;
  const key = JSON.stringify([endpoint.origin, request.realm, request.service, request.scopes, fingerprint(login)]);
  let cached = tokens.get(key);
  const isUsable = cached !== undefined && (cached.value === undefined || isGood(cached.value, request));
  if (cached === undefined || !isUsable) {
    // Several callers share it: none of them may abort it.
    const promise = fetchToken({ ...call, operation: 'get token', signal: undefined }, endpoint, login, request);
    const entry: CachedToken = { promise, value: undefined };
    promise.then(
      (token) => {
        entry.value = token;
      },
      () => {
        if (tokens.get(key) === entry) tokens.delete(key);
      },
    );
    tokens.set(key, entry);
    cached = entry;
  }
  return (await waitFor(cached.promise, call.signal)).token;
}

function isGood(token: Token, { refused, lifetimeMs }: TokenRequest): boolean {
  return token.token !== refused && token.expiresAt - RENEW_EARLY_MS > Date.now() + lifetimeMs;
}

const fingerprints = new WeakMap<AuthEntry, string>();

/** A hash that tells logins apart, so that keys hold no secret. */
function fingerprint(login: AuthEntry | undefined): string {
  if (login === undefined) return '';
  let known = fingerprints.get(login);
  if (known === undefined) {
    const secret = JSON.stringify([login.username, login.password, login.identityToken]);
    known = createHash('sha256').update(secret).digest('base64');
    fingerprints.set(login, known);
  }
  return known;
}

async function fetchToken(
  call: Call,
  endpoint: Endpoint,
  login: AuthEntry | undefined,
  request: TokenRequest,
): Promise<Token> {
  const realm = await checkRealm(request.realm, new URL('/v2/', endpoint.base), {
    registry: endpoint.registry,
    registryHost: endpoint.base.hostname,
    insecure: endpoint.insecure,
    allowedRealms: call.client.options.allowedRealms,
    hasLogin: basicAuthorization(login) !== undefined,
  });
  await checkAddress(call, endpoint, realm);
  const { challengeScope, scopes: own } = request;
  const scopes = challengeScope === undefined || covers(own, challengeScope) ? own : [challengeScope, ...own];
  const response = await askForToken(call, endpoint, realm, login, request.service, scopes);
  if (response.status !== 200) throw await refusedToken(call, response, login);
  const body = await readResponse(call, response, MAX_TOKEN_BYTES);
  if (isMarkup(body.toString('utf8', 0, 100))) {
    const what = `the token server ${realm.host} answers with a web page`;
    throw callError(call, what, { class: 'transient', code: 'protocol', mend: tokenServerMend(call, realm) });
  }
  return parseToken(call, body, Date.now());
}

/** True where `scopes` allow all that `wanted` does, one or more scopes divided by blanks. */
function covers(scopes: readonly string[], wanted: string): boolean {
  const parse = (scope: string) => {
    const colon = scope.lastIndexOf(':');
    return { name: scope.slice(0, colon), actions: scope.slice(colon + 1).split(',') };
  };
  const held = scopes.map(parse);
  return wanted.split(' ').every((scope) => {
    const { name, actions } = parse(scope);
    return held.some((one) => one.name === name && actions.every((action) => one.actions.includes(action)));
  });
}

async function askForToken(
  call: Call,
  endpoint: Endpoint,
  realm: URL,
  login: AuthEntry | undefined,
  service: string | undefined,
  scopes: readonly string[],
): Promise<RegistryResponse> {
  const authorization = basicAuthorization(login);
  const secrets = [...secretsOf(login), ...(authorization === undefined ? [] : [authorization.slice(6)])];
  if (login?.identityToken !== undefined) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      ...(service !== undefined && { service }),
      client_id: 'tranship',
      scope: scopes.join(' '),
      refresh_token: login.identityToken,
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    const response = await exchange(call, endpoint, {
      method: 'POST',
      url: realm,
      headers,
      body: [Buffer.from(form.toString())],
    });
    // Servers without OAuth2 know only GET: older Quay says 404 or 405, Artifactory 401 (containerd/containerd#2169).
    if (![400, 401, 403, 404, 405, 415].includes(response.status)) return { ...response, secrets };
    await discard(response.body);
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  // nvcr.io puts the scope of the request that it refused into the realm.
  url.searchParams.delete('scope');
  for (const scope of scopes) url.searchParams.append('scope', scope);
  if (authorization !== undefined && login?.username) url.searchParams.set('account', login.username);
  return { ...(await getFollowing(call, endpoint, url, authorization)), secrets };
}

/**
 * A GET, and its redirects: without a login to wherever {@link resolveLocation} allows, with one only on the same
 * server.
 */
async function getFollowing(
  call: Call,
  endpoint: Endpoint,
  first: URL,
  authorization: string | undefined,
): Promise<RegistryResponse> {
  const headers = { accept: 'application/json' };
  for (let url = first, redirects = 0; ; redirects += 1) {
    const response = await exchange(call, endpoint, { method: 'GET', url, headers, authorization });
    if (!isRedirect(response.status) || redirects === MAX_REDIRECTS) return response;
    const to = await resolveLocation(call, endpoint, url, response.headers.location);
    if (authorization !== undefined && to.origin !== url.origin) return response;
    await discard(response.body);
    url = to;
  }
}

/** The secrets of a login. */
export function secretsOf(login: AuthEntry | undefined): string[] {
  return [login?.password, login?.identityToken].filter((secret) => secret !== undefined);
}

/** `Basic …` (RFC 7617); undefined for anonymous access. */
export function basicAuthorization(login: AuthEntry | undefined): string | undefined {
  const secret = login?.password ?? login?.identityToken;
  if (secret === undefined) return undefined;
  return `Basic ${Buffer.from(`${login?.username ?? ''}:${secret}`).toString('base64')}`;
}

async function refusedToken(
  call: Call,
  response: RegistryResponse,
  login: AuthEntry | undefined,
): Promise<TranshipError> {
  if (response.status >= 300 && response.status < 400) {
    await discard(response.body);
    const what =
      basicAuthorization(login) === undefined
        ? 'redirects without end'
        : 'redirects, which is not followed with a login';
    return callError(call, `the token server ${urlOf(response.endpoint, response.url).host} ${what}`, {
      class: 'permanent',
      code: 'unsafe',
      status: response.status,
    });
  }
  const errors = parseErrors(await readStart(response.body, 64 * 1024), response.secrets);
  const error = refusal(call, { ...response, isForeign: false }, errors);
  if (error.class === 'transient' || error.class === 'throttled') return error;
  const said = `${urlOf(response.endpoint, response.url).host} answers status ${response.status}${errors.text === '' ? '' : ` (${errors.text})`}`;
  const { repository } = call.repository;
  if (response.status === 400) {
    // Quay, of a name with more parts than it takes (containers/skopeo#1180).
    const mend = `see whether ${call.repository.registry} takes a repository named ${repository}; if it does, check the login`;
    return rephrase(unauthorized(call, login, said, response.status), { mend });
  }
  if ([401, 403].includes(response.status)) return unauthorized(call, login, said, response.status);
  // Not the error itself: a token server's 404 must not look like a missing repository.
  const mend = tokenServerMend(call, urlOf(response.endpoint, response.url));
  return callError(call, said, { class: 'permanent', code: 'protocol', status: response.status, mend });
}

/** Harbor's `externalURL`, Gitea's `ROOT_URL`, GitLab's `token_realm`. */
function tokenServerMend({ repository: { registry } }: Call, { host, pathname }: URL): string {
  return `${registry} names ${host}${pathname} as its token server: mend its own address in its settings`;
}

/** The error of a login that is not accepted, or of a missing one. */
export function unauthorized(call: Call, login: AuthEntry | undefined, what: string, status?: number): TranshipError {
  const { registry, repository } = call.repository;
  // Many say the same of a project that is not there (goharbor/harbor, Alibaba).
  const rights =
    call.access === 'push' ? `may it push to ${repository}, and is that there` : `may it use ${repository}`;
  const mend =
    basicAuthorization(login) === undefined && login?.registryToken === undefined
      ? `no login is known for ${registry}/${repository}: add ${registry} with username and password to the auth file or secret; or mend the name, if nothing is there`
      : `check the login for ${registry}${login?.username ? ` (user ${login.username})` : ''}: is it current, ${rights}?${blanksAround(login)}`;
  return callError(call, what, {
    class: 'permanent',
    code: 'unauthorized',
    mend: tooDeepForHub(call.repository) ?? mend,
    status,
  });
}

/** A blank that was pasted along is hard to see. Line ends are left out where logins are read. */
function blanksAround(login: AuthEntry | undefined): string {
  const isPadded = [login?.username, login?.password].some((text) => text !== undefined && text !== text.trim());
  return isPadded ? ' Its name or password begins or ends with a blank: take that out' : '';
}

/**
 * Reads a token server's response.
 * @throws TranshipError `protocol`, transient
 * @see distribution's docs, "Token Authentication Specification"
 */
export function parseToken(
  call: Pick<Call, 'repository' | 'operation' | 'subject'>,
  body: Buffer,
  nowMs: number,
): Token {
  let document: Record<string, unknown> = {};
  try {
    document = Object(JSON.parse(body.toString('utf8')));
  } catch {
    // Reported below: the parser's message would quote the token.
  }
  const token = [document.token, document.access_token]
    .map((value) => (typeof value === 'string' ? value.trim() : ''))
    .find((value) => value !== '');
  // RFC 6750 section 2.1; anything else could not be a header's value.
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
    throw callError(call, 'the token server gave no token', { class: 'transient', code: 'protocol' });
  }
  const stated = Number(document.expires_in);
  const lifetimeS = Math.min(Math.max(Number.isFinite(stated) ? stated : 0, MIN_LIFETIME_S), 24 * 3600);
  const issuedAt = typeof document.issued_at === 'string' ? Date.parse(document.issued_at) : Number.NaN;
  // A time in the future, of the year 1, or so old that the token would have expired: the clock is wrong, and now is
  // meant.
  const isIssued = issuedAt <= nowMs && issuedAt + lifetimeS * 1000 > nowMs;
  return { token, expiresAt: (isIssued ? issuedAt : nowMs) + lifetimeS * 1000 };
}
