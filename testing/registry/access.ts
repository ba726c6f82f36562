import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Problem } from './problem.ts';

/** `catalog` is of the registry as a whole, whose repository has an empty name. */
export type Action = 'pull' | 'push' | 'delete' | 'catalog';

export interface User {
  username: string;
  password: string;
  /** An OAuth2 refresh token that stands for the user (Docker's `identitytoken`). */
  identityToken?: string;
  /** Rights; without it, all of them. */
  may?: (repository: string, action: Action) => boolean;
}

/**
 * - `basic`: name and password with each request.
 * - `token`: the registry's own token endpoint hands out tokens that hold for `ttlSeconds` (default 300) and for the
 *   scopes asked for. `anonymous` is what those may do who give no name.
 */
export type AccessOptions =
  | { kind: 'none' }
  | { kind: 'basic'; users: User[] }
  | { kind: 'token'; users: User[]; anonymous?: User['may']; ttlSeconds?: number };

/** One right that a request needs. */
export interface Need {
  repository: string;
  actions: Action[];
}

export interface Access {
  /** @throws 401 or 403 as a registry answers it */
  check(request: IncomingMessage, needs: Need[]): void;
  /** Answers the token endpoint; undefined where there is none. */
  issue: ((request: IncomingMessage, parameters: URLSearchParams) => object) | undefined;
}

interface Claims {
  /** Epoch milliseconds. */
  until: number;
  granted: Need[];
}

const service = 'tranship-demo-registry';

export function createAccess(options: AccessOptions): Access {
  switch (options.kind) {
    case 'none':
      return { check() {}, issue: undefined };
    case 'basic':
      return { check: (request, needs) => checkBasic(options.users, request, needs), issue: undefined };
    case 'token':
      return tokenAccess(options);
  }
}

function checkBasic(users: User[], request: IncomingMessage, needs: Need[]): void {
  const user = basicUser(users, request);
  if (user === undefined) {
    throw new Problem(401, 'UNAUTHORIZED', 'authentication required', {
      'WWW-Authenticate': `Basic realm="${service}"`,
    });
  }
  const all = needs.every((need) => need.actions.every((action) => user.may?.(need.repository, action) ?? true));
  if (!all) throw new Problem(403, 'DENIED', 'requested access to the resource is denied');
}

function tokenAccess(options: AccessOptions & { kind: 'token' }): Access {
  const secret = randomBytes(32);

  function check(request: IncomingMessage, needs: Need[]): void {
    const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const claims = token === undefined ? undefined : openToken(secret, token);
    if (claims !== undefined && needs.every((need) => covers(claims.granted, need))) return;
    const scope = needs
      .map(({ repository, actions }) =>
        repository === '' ? 'registry:catalog:*' : `repository:${repository}:${actions.join(',')}`,
      )
      .join(' ');
    const fields = [
      `realm="http://${request.headers.host}/token"`,
      `service="${service}"`,
      ...(scope === '' ? [] : [`scope="${scope}"`]),
      ...(token === undefined ? [] : [`error="${claims === undefined ? 'invalid_token' : 'insufficient_scope'}"`]),
    ];
    throw new Problem(401, 'UNAUTHORIZED', 'authentication required', {
      'WWW-Authenticate': `Bearer ${fields.join(',')}`,
    });
  }

  function issue(request: IncomingMessage, parameters: URLSearchParams): object {
    const user = request.method === 'POST' ? formUser(options.users, parameters) : basicUser(options.users, request);
    const named = request.method === 'POST' || request.headers.authorization !== undefined;
    if (named && user === undefined) throw new Problem(401, 'UNAUTHORIZED', 'authentication required');
    const may = user === undefined ? (options.anonymous ?? (() => false)) : (user.may ?? (() => true));
    const ttlSeconds = options.ttlSeconds ?? 300;
    const granted = scopesOf(parameters).map(({ repository, actions }) => ({
      repository,
      actions: actions.filter((action) => may(repository, action)),
    }));
    const token = sealToken(secret, { until: Date.now() + ttlSeconds * 1000, granted });
    // GET answers with `token` (distribution "Token Authentication"), POST with `access_token` (OAuth2).
    return {
      ...(request.method === 'POST' ? { access_token: token } : { token }),
      expires_in: ttlSeconds,
      issued_at: new Date().toISOString(),
    };
  }

  return { check, issue };
}

function basicUser(users: User[], request: IncomingMessage): User | undefined {
  const encoded = /^Basic (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  return users.find((user) => `${user.username}:${user.password}` === text);
}

function formUser(users: User[], form: URLSearchParams): User | undefined {
  if (form.get('grant_type') === 'refresh_token') {
    return users.find((user) => user.identityToken !== undefined && user.identityToken === form.get('refresh_token'));
  }
  return users.find((user) => user.username === form.get('username') && user.password === form.get('password'));
}

function scopesOf(parameters: URLSearchParams): Need[] {
  return parameters
    .getAll('scope')
    .flatMap((text) => text.split(' '))
    .flatMap((text) => {
      if (text === 'registry:catalog:*') return [{ repository: '', actions: ['catalog'] }];
      const [, repository, actions] = /^repository:([^:]+):([a-z,*]+)$/.exec(text) ?? [];
      if (repository === undefined || actions === undefined) return [];
      return [{ repository, actions: actions.split(',') as Action[] }];
    });
}

function covers(granted: Need[], need: Need): boolean {
  const actions = granted.filter((one) => one.repository === need.repository).flatMap((one) => one.actions);
  return need.actions.every((action) => actions.includes(action));
}

function sealToken(secret: Buffer, claims: Claims): string {
  const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
  return `${payload}.${signatureOf(secret, payload).toString('base64url')}`;
}

function openToken(secret: Buffer, token: string): Claims | undefined {
  const [payload = '', signature = ''] = token.split('.');
  const given = Buffer.from(signature, 'base64url');
  const wanted = signatureOf(secret, payload);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
  const claims: Claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  return claims.until > Date.now() ? claims : undefined;
}

function signatureOf(secret: Buffer, payload: string): Buffer {
  return createHmac('sha256', secret).update(payload).digest();
}
