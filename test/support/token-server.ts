import { randomUUID, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { importPKCS8, SignJWT } from 'jose';

export const tokenService = 'tranship-test-registry';
export const tokenIssuer = 'tranship-test-issuer';

export interface TokenServerOptions {
  username: string;
  password: string;
  ttlSeconds: number;
}

export interface TokenServer {
  url: string;
  issued(): number;
  close(): Promise<void>;
}

/**
 * The token endpoint of a registry that CNCF distribution guards: knows one user, who may do everything, and gives
 * strangers tokens without any right.
 * https://distribution.github.io/distribution/spec/auth/jwt/
 */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const fixture = (name: string) => readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8');
  const key = await importPKCS8(fixture('token-key.pem'), 'ES256');
  const certificate = new X509Certificate(fixture('token.pem')).raw.toString('base64');
  let issued = 0;

  async function issue(parameters: URLSearchParams, known: boolean): Promise<string> {
    issued += 1;
    const access = parameters.getAll('scope').flatMap((scopes) => scopes.split(' ').flatMap(accessOf));
    return await new SignJWT({ access: known ? access : [] })
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT', x5c: [certificate] })
      .setIssuer(tokenIssuer)
      .setAudience(parameters.get('service') ?? '')
      .setSubject(known ? options.username : '')
      .setJti(randomUUID())
      .setIssuedAt()
      .setNotBefore('-10s')
      .setExpirationTime(`${options.ttlSeconds}s`)
      .sign(key);
  }

  const server = createServer(async (request, response) => {
    const known = isKnown(request, options);
    if (!known && request.headers.authorization !== undefined) {
      response.writeHead(401, { 'Content-Type': 'application/json' }).end('{"errors":[{"code":"UNAUTHORIZED"}]}');
      return;
    }
    const { searchParams } = new URL(request.url ?? '/', 'http://tokens');
    const token = await issue(searchParams, known);
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ token, expires_in: options.ttlSeconds, issued_at: new Date().toISOString() }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    issued: () => issued,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function isKnown(request: IncomingMessage, { username, password }: TokenServerOptions): boolean {
  const wanted = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  return request.headers.authorization === wanted;
}

function accessOf(scope: string): object[] {
  const [, type, name, actions] = /^(\w+):([^:]+):([a-z,*]+)$/.exec(scope) ?? [];
  return actions === undefined ? [] : [{ type, name, actions: actions.split(',') }];
}
