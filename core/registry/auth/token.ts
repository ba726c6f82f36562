import { createHash } from 'node:crypto';
import type { AuthEntry } from '../../model/credentials.ts';
import type { TranshipError } from '../../model/errors.ts';
import { waitFor } from '../abort.ts';
import { type Call, callError } from '../call.ts';
import { parseErrors, refusal } from '../http-error.ts';
import type { CachedToken, Endpoint, Token } from '../state.ts';
import { discard, readStart } from '../wire/body.ts';
import { type Answer, exchange, readAnswer } from '../wire/exchange.ts';
import { checkRealm } from './realm.ts';

export interface TokenRequest {
  realm: string;
  service: string | undefined;
  /** The needed one first: some servers read no more (go-containerregistry). */
  scopes: readonly string[];
  /** Told by a challenge, in place of `scopes` on the wire. */
  challengeScope?: string;
  /** It must still be valid so long. */
  lifetimeMs: number;
  /** The registry has refused this one. */
  refused?: string;
}

const MAX_TOKEN_BYTES = 1024 * 1024;
/** What a server that says nothing, or too little, means (distribution's token spec, containers/image). */
const MIN_LIFETIME_S = 60;
/** Clocks differ, and a request takes its time. */
const RENEW_EARLY_MS = 5000;
const MAX_CACHED = 2000;

/**
 * A bearer token for one repository, from the cache while it lives. Those who want the same one at a time share one request.
 * @throws TranshipError `unauthorized` where the login is not accepted, `unsafe` for a realm that is not to be trusted
 */
export async function getToken(
  call: Call,
  endpoint: Endpoint,
  login: AuthEntry | undefined,
  request: TokenRequest,
): Promise<string> {
  const { tokens } = call.client;
  const key = JSON.stringify([
    endpoint.base.origin,
    request.realm,
    request.service,
    request.scopes,
    fingerprint(login),
  ]);
  let cached = tokens.get(key);
  const isUsable = cached !== undefined && (cached.value === undefined || isGood(cached.value, request));
  if (cached === undefined || !isUsable) {
    if (tokens.size >= MAX_CACHED) forgetExpired(tokens);
    // Shared by several callers: no one of them may abort it.
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

function forgetExpired(tokens: Map<string, CachedToken>): void {
  for (const [key, { value }] of tokens) if (value !== undefined && value.expiresAt < Date.now()) tokens.delete(key);
  const [oldest] = tokens.keys();
  if (tokens.size >= MAX_CACHED && oldest !== undefined) tokens.delete(oldest);
}

/** Tells logins apart without keeping them in keys. */
function fingerprint(login: AuthEntry | undefined): string {
  const secret = JSON.stringify([login?.username, login?.password, login?.identityToken]);
  return createHash('sha256').update(secret).digest('base64');
}

async function fetchToken(
  call: Call,
  endpoint: Endpoint,
  login: AuthEntry | undefined,
  request: TokenRequest,
): Promise<Token> {
  const realm = checkRealm(request.realm, new URL('/v2/', endpoint.base), {
    registry: endpoint.registry,
    registryHost: endpoint.base.hostname,
    insecure: endpoint.insecure,
    allowedRealms: call.client.options.allowedRealms,
  });
  const scopes = request.challengeScope === undefined ? request.scopes : [request.challengeScope];
  const answer = await askForToken(call, endpoint, realm, login, request.service, scopes);
  if (answer.status !== 200) throw await refusedToken(call, answer, login);
  return parseToken(call, await readAnswer(call, answer, MAX_TOKEN_BYTES), Date.now());
}

async function askForToken(
  call: Call,
  endpoint: Endpoint,
  realm: URL,
  login: AuthEntry | undefined,
  service: string | undefined,
  scopes: readonly string[],
): Promise<Answer> {
  const secrets = [login?.password, login?.identityToken].filter((secret) => secret !== undefined);
  if (login?.identityToken !== undefined) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      ...(service !== undefined && { service }),
      client_id: 'tranship',
      scope: scopes.join(' '),
      refresh_token: login.identityToken,
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    const answer = await exchange(call, endpoint, { method: 'POST', url: realm, headers, body: form.toString() });
    // Servers without OAuth2, e.g. of older Quay and Artifactory, know only GET.
    if (![404, 405].includes(answer.status)) return { ...answer, secrets };
    await discard(answer.body);
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const authorization = basicAuthorization(login);
  if (authorization !== undefined && login?.username) url.searchParams.set('account', login.username);
  const answer = await exchange(call, endpoint, {
    method: 'GET',
    url,
    headers: { accept: 'application/json' },
    authorization,
  });
  return { ...answer, secrets: authorization === undefined ? secrets : [...secrets, authorization.slice(6)] };
}

/** `Basic …` (RFC 7617); undefined for anonymous access. */
export function basicAuthorization(login: AuthEntry | undefined): string | undefined {
  const secret = login?.password ?? login?.identityToken;
  if (secret === undefined) return undefined;
  return `Basic ${Buffer.from(`${login?.username ?? ''}:${secret}`).toString('base64')}`;
}

async function refusedToken(call: Call, answer: Answer, login: AuthEntry | undefined): Promise<TranshipError> {
  if (answer.status >= 300 && answer.status < 400) {
    await discard(answer.body);
    return callError(call, `the token server ${answer.url.host} redirects, which is not followed with a login`, {
      class: 'permanent',
      code: 'unsafe',
      status: answer.status,
    });
  }
  const errors = parseErrors(await readStart(answer.body, 64 * 1024), answer.secrets);
  const error = refusal(call, { ...answer, isForeign: false }, errors);
  if (error.class === 'transient' || error.class === 'throttled') return error;
  const said = `${answer.url.host} answers status ${answer.status}${errors.text === '' ? '' : ` (${errors.text})`}`;
  if ([400, 401, 403].includes(answer.status)) return unauthorized(call, login, said, answer.status);
  // Not as it is: a token server's 404 must not pass for a missing repository.
  return callError(call, said, { class: 'permanent', code: 'protocol', status: answer.status });
}

/** The end of all tries to be let in. */
export function unauthorized(call: Call, login: AuthEntry | undefined, what: string, status?: number): TranshipError {
  const { registry, repository } = call.repository;
  const mend =
    login === undefined
      ? `no login is known for ${registry}/${repository}: add ${registry} with username and password to the auth file or secret; or mend the name, if nothing is there`
      : `check the login for ${registry}${login.username ? ` (user ${login.username})` : ''}: is it current, and may it use ${repository}?`;
  return callError(call, what, {
    class: 'permanent',
    code: 'unauthorized',
    mend,
    status,
  });
}

/**
 * Reads a token server's answer.
 * @throws TranshipError `protocol`, transient
 * @see distribution's docs, "Token Authentication Specification"
 */
export function parseToken(
  call: Pick<Call, 'repository' | 'operation' | 'subject'>,
  body: Buffer,
  nowMs: number,
): Token {
  let answer: Record<string, unknown> = {};
  try {
    answer = Object(JSON.parse(body.toString('utf8')));
  } catch {
    // Told below: the parser's message would quote the token.
  }
  const token = [answer.token, answer.access_token].find((value) => typeof value === 'string' && value !== '');
  // RFC 6750 section 2.1; anything else could not be a header's value.
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw callError(call, 'the token server gave no token', { class: 'transient', code: 'protocol' });
  }
  const stated = Number(answer.expires_in);
  const lifetimeS = Math.min(Math.max(Number.isFinite(stated) ? stated : 0, MIN_LIFETIME_S), 24 * 3600);
  const issuedAt = typeof answer.issued_at === 'string' ? Date.parse(answer.issued_at) : Number.NaN;
  // A server whose clock is ahead, or that sends a zero time, means now. So does one whose tokens would be dead on arrival.
  const isIssued = issuedAt <= nowMs && issuedAt + lifetimeS * 1000 > nowMs;
  return { token, expiresAt: (isIssued ? issuedAt : nowMs) + lifetimeS * 1000 };
}
