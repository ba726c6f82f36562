import type { AuthEntry } from '../../model/credentials.ts';
import { waitFor } from '../abort.ts';
import type { Access, Call } from '../call.ts';
import { warnOnce } from '../headers/warning.ts';
import type { Endpoint } from '../state.ts';
import { basicAuthorization, getToken, secretsOf } from './token.ts';

/** A store of logins is read afresh for a registry at most this often. */
export const REFRESH_EVERY_MS = 30_000;

/**
 * What a token is asked for. Quay gives none for `delete`; everything (`*`) is what it and CNCF distribution understand
 * (containers/image docker_image_src.go, deleteImage).
 */
const actions: Record<Exclude<Access, 'catalog'>, string> = { pull: 'pull', push: 'pull,push', delete: '*' };

/** What a request has to be allowed beyond its call's access. */
export interface Wanted {
  /** A second repository, to read from. */
  mountFrom?: string;
  /** A token must be valid for at least so long. */
  tokenLifetimeMs?: number;
}

/** How to ask again after the registry has refused a token. */
export interface Renewal {
  /** The token that was refused. */
  refused?: string;
  /** The scope that the registry asked for, where it differs from what was asked for. */
  challengeScope?: string;
}

/** How a request logs in. */
export interface Authorization {
  /** Value of the header `Authorization`. */
  header: string;
  /** The bearer token of the header, where there is one. */
  token?: string;
  /** What must not be shown. */
  secrets: string[];
}

/**
 * The authorization of a request to the registry's own origin, by what its last challenge asked for. Gets a token where
 * one is needed, from the cache if it can.
 *
 * @returns undefined for anonymous access
 * @throws TranshipError as {@link getToken}
 */
export async function authorize(
  call: Call,
  endpoint: Endpoint,
  login: AuthEntry | undefined,
  { mountFrom, tokenLifetimeMs = 0 }: Wanted,
  { refused, challengeScope }: Renewal = {},
): Promise<Authorization | undefined> {
  if (login?.registryToken !== undefined) {
    const token = login.registryToken;
    return { header: `Bearer ${token}`, token, secrets: [token] };
  }
  const { auth } = endpoint;
  if (auth.kind === 'none') return undefined;
  if (auth.kind === 'basic') {
    const header = basicAuthorization(login);
    // Public repositories can be read without a login.
    if (header === undefined) return undefined;
    return { header, secrets: [header.slice(6), ...secretsOf(login)] };
  }
  const { access, repository } = call;
  const scopes = [
    access === 'catalog' ? 'registry:catalog:*' : `repository:${repository.repository}:${actions[access]}`,
  ];
  if (mountFrom !== undefined) scopes.push(`repository:${mountFrom}:pull`);
  const { realm, service } = auth;
  const request = { realm, service, scopes, challengeScope, lifetimeMs: tokenLifetimeMs, refused };
  const token = await getToken(call, endpoint, login, request);
  return { header: `Bearer ${token}`, token, secrets: [token, ...secretsOf(login)] };
}

/**
 * The login for the repository of a call. What keeps one from being found is told once, for all registries. A call that
 * is stopped does not wait for a credential helper.
 */
export function lookupLogin({ client, repository, signal }: Call, fresh = false): Promise<AuthEntry | undefined> {
  const found = client.options.credentials.lookup(repository, {
    fresh,
    warn: (message) => warnOnce(client, 'logins', message),
  });
  return waitFor(found, signal);
}

/**
 * A login from the store that differs from the one that was refused. The store is read afresh, but not again within
 * {@link REFRESH_EVERY_MS}: then it is asked for what it knows by now.
 */
export async function otherLogin(call: Call, refused: AuthEntry | undefined): Promise<AuthEntry | undefined> {
  const { refreshedLogins } = call.client;
  const { registry } = call.repository;
  const fresh = !refreshedLogins.has(registry);
  if (fresh) refreshedLogins.set(registry, true);
  const other = await lookupLogin(call, fresh);
  const isSame =
    other?.username === refused?.username &&
    other?.password === refused?.password &&
    other?.identityToken === refused?.identityToken &&
    other?.registryToken === refused?.registryToken;
  return isSame ? undefined : other;
}
