import { Readable } from 'node:stream';
import type { AuthEntry } from '../model/credentials.ts';
import { hasCode } from '../model/errors.ts';
import { parseChallenges } from './auth/challenge.ts';
import { basicAuthorization, getToken, unauthorized } from './auth/token.ts';
import { type Call, callError } from './call.ts';
import { parseErrors, refusal } from './http-error.ts';
import type { AuthScheme, Endpoint } from './state.ts';
import { discard, readStart } from './wire/body.ts';
import { endpointFor, learnScheme, ping } from './wire/endpoint.ts';
import { type Answer, type Exchange, exchange } from './wire/exchange.ts';
import { resolveLocation } from './wire/redirect.ts';

export type Actions = 'pull' | 'pull,push';

export interface Send extends Omit<Exchange, 'url' | 'authorization'> {
  /** Path and query at the registry, from `/v2/`; or a whole URL that it gave. */
  url: string | URL;
  actions: Actions;
  /** A second repository to read from. */
  mountFrom?: string;
  /** The token must live at least so long. */
  tokenLifetimeMs?: number;
}

const MAX_REDIRECTS = 5;
/** A store of logins is not asked more often than this for what it has just said. */
const REFRESH_EVERY_MS = 30_000;

/**
 * Sends a request as whoever the user is at that registry. A 401 is answered by logging in once more, and then by reading
 * the login afresh from its store; redirects of reads are followed, without the login where they leave the origin.
 *
 * @returns the answer, whatever its status but 401
 * @throws TranshipError `unauthorized`, permanent, where the login is not accepted; or transient, where the body is spent
 */
export async function send(call: Call, request: Send): Promise<Answer> {
  let login = await call.client.options.credentials.lookup(call.repository);
  let refused: string | undefined;
  let challengeScope: string | undefined;
  let hasRelogged = false;
  for (;;) {
    const endpoint = await endpointFor(call, login);
    let answer: Answer;
    let sent: Authorization | undefined;
    try {
      sent = await authorize(call, endpoint, login, request, { refused, challengeScope });
      answer = await sendFollowing(call, endpoint, request, sent?.header);
      answer = { ...answer, secrets: [...(sent?.secrets ?? []), ...answer.secrets] };
    } catch (error) {
      const other = hasCode(error, 'unauthorized') && !hasRelogged ? await otherLogin(call, login) : undefined;
      if (other === undefined) throw error;
      hasRelogged = true;
      login = other;
      continue;
    }
    if (answer.isForeign || !isAuthFailure(answer, sent)) return answer;

    if (request.body instanceof Readable) {
      if (answer.status === 403) return answer;
      throw await spentBody(call, answer, login, request, endpoint, sent);
    }
    // ECR says 403 where the password has expired, and a HEAD does not say why: only another login can tell.
    if (answer.status === 403 && endpoint.auth.kind === 'basic') {
      const other = hasRelogged ? undefined : await otherLogin(call, login);
      if (other === undefined) return answer;
      await discard(answer.body);
      hasRelogged = true;
      login = other;
      continue;
    }
    const errors = parseErrors(await readStart(answer.body, 64 * 1024), answer.secrets);
    const before = endpoint.auth;
    const challenge = learnScheme(endpoint, answer);
    if (challenge === undefined && refused === undefined) await ping(call, endpoint);
    if (endpoint.auth.kind === 'none' && basicAuthorization(login) !== undefined) endpoint.auth = { kind: 'basic' };
    const canLogIn = basicAuthorization(login) !== undefined && !isSameScheme(before, endpoint.auth);
    const canRenew = refused === undefined && (endpoint.auth.kind === 'bearer' || canLogIn);
    if (canRenew && login?.registryToken === undefined) {
      refused = sent?.token ?? '';
      challengeScope = scopeOf(challenge?.params.get('scope'));
      continue;
    }
    const other = hasRelogged ? undefined : await otherLogin(call, login);
    if (other === undefined) {
      if (answer.status === 403) throw refusal(call, answer, errors);
      throw unauthorized(call, login, `status ${answer.status}${errors.text && ` (${errors.text})`}`, answer.status);
    }
    hasRelogged = true;
    login = other;
    refused = undefined;
    challengeScope = undefined;
  }
}

interface Authorization {
  header: string;
  /** The bearer token of the header, where there is one. */
  token?: string;
  secrets: string[];
}

/** The header for a request under what is known of the registry; undefined for anonymous access. */
async function authorize(
  call: Call,
  endpoint: Endpoint,
  login: AuthEntry | undefined,
  { url, actions, mountFrom, tokenLifetimeMs = 0 }: Send,
  { refused, challengeScope }: { refused: string | undefined; challengeScope: string | undefined },
): Promise<Authorization | undefined> {
  if (url instanceof URL && url.origin !== endpoint.base.origin) return undefined;
  if (login?.registryToken !== undefined) {
    const token = login.registryToken;
    return { header: `Bearer ${token}`, token, secrets: [token] };
  }
  const { auth } = endpoint;
  if (auth.kind === 'none') return undefined;
  if (auth.kind === 'basic') {
    const header = basicAuthorization(login);
    // What is public there can be had without a login.
    if (header === undefined) return undefined;
    return { header, secrets: [header.slice(6), login?.password ?? '', login?.identityToken ?? ''] };
  }
  const { repository } = call.repository;
  const scopes = [`repository:${repository}:${actions}`];
  if (mountFrom !== undefined) scopes.push(`repository:${mountFrom}:pull`);
  const { realm, service } = auth;
  const request = { realm, service, scopes, challengeScope, lifetimeMs: tokenLifetimeMs, refused };
  const token = await getToken(call, endpoint, login, request);
  return { header: `Bearer ${token}`, token, secrets: [token, login?.password ?? '', login?.identityToken ?? ''] };
}

async function sendFollowing(
  call: Call,
  endpoint: Endpoint,
  { url: target, ...request }: Send,
  authorization: string | undefined,
): Promise<Answer> {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  let url = typeof target === 'string' ? new URL(target, endpoint.base) : target;
  let isHome = url.origin === endpoint.base.origin;
  for (let redirects = 0; ; redirects += 1) {
    const answer = await exchange(call, endpoint, {
      ...request,
      url,
      authorization: isHome ? authorization : undefined,
    });
    if (![301, 302, 303, 307, 308].includes(answer.status) || !isRead) return answer;
    await discard(answer.body);
    if (redirects === MAX_REDIRECTS) {
      throw callError(call, `redirected more than ${MAX_REDIRECTS} times`, { class: 'permanent', code: 'protocol' });
    }
    url = await resolveLocation(call, endpoint, url, answer.headers.location);
    // Once away, never with the login again: the target could send us back with a URL of its choice.
    isHome = isHome && url.origin === endpoint.base.origin;
  }
}

function isAuthFailure(answer: Answer, sent: Authorization | undefined): boolean {
  if (answer.status === 401) return true;
  if (answer.status !== 403) return false;
  const isBasic = sent !== undefined && sent.token === undefined;
  return isBasic || parseChallenges(answer.headers['www-authenticate']).some(isInsufficientScope);
}

/** RFC 6750 section 3.1; sent with 403 by some, with 401 by others. */
function isInsufficientScope({ params }: { params: ReadonlyMap<string, string> }): boolean {
  return params.get('error') === 'insufficient_scope';
}

/**
 * A login from the store that differs from the one that was refused. A store that was just read afresh is asked for
 * what it knows by now.
 */
async function otherLogin(call: Call, login: AuthEntry | undefined): Promise<AuthEntry | undefined> {
  const { options, refreshedAt } = call.client;
  const { registry } = call.repository;
  const fresh = Date.now() - (refreshedAt.get(registry) ?? 0) > REFRESH_EVERY_MS;
  if (fresh) refreshedAt.set(registry, Date.now());
  const other = await options.credentials.lookup(call.repository, { fresh });
  const isSame =
    other?.username === login?.username &&
    other?.password === login?.password &&
    other?.identityToken === login?.identityToken &&
    other?.registryToken === login?.registryToken;
  return isSame ? undefined : other;
}

/** A streamed body cannot be sent twice: the token is renewed, and the whole step has to be repeated. */
async function spentBody(
  call: Call,
  answer: Answer,
  login: AuthEntry | undefined,
  request: Send,
  endpoint: Endpoint,
  sent: Authorization | undefined,
) {
  await discard(answer.body);
  if (endpoint.auth.kind === 'bearer') {
    await authorize(call, endpoint, login, request, { refused: sent?.token, challengeScope: undefined });
  }
  return callError(call, `status ${answer.status} in the middle of an upload`, {
    class: 'transient',
    code: 'unauthorized',
    status: answer.status,
  });
}

function isSameScheme(a: AuthScheme, b: AuthScheme): boolean {
  return a.kind === b.kind;
}

/** A scope that a challenge asks for, where it is one (distribution's docs, "Token Scope Documentation"). */
function scopeOf(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= 2048 && /^[\x21\x23-\x5b\x5d-\x7e ]+$/.test(text) ? text : undefined;
}
