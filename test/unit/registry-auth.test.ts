import type { ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { AuthEntry, Credentials } from '../../core/model/credentials.ts';
import { parseToken } from '../../core/registry/auth/token.ts';
import { openBlob } from '../../core/registry/blobs.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { listTags } from '../../core/registry/tags.ts';
import { startUpload } from '../../core/registry/uploads.ts';
import {
  login,
  ociError,
  repositoryAt,
  type Script,
  type ScriptedRequest,
  scriptedRegistry,
  testClient,
} from '../support/scripted-registry.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const found = {
  headers: { 'docker-content-digest': digest, 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
};
const bearer = (extra = '') => ({
  status: 401,
  headers: { 'www-authenticate': `Bearer realm="/token",service="reg"${extra}` },
});
const basicOf = (login: AuthEntry) =>
  `Basic ${Buffer.from(`${login.username}:${login.password ?? login.identityToken}`).toString('base64')}`;
const isToken = ({ url }: ScriptedRequest) => url.startsWith('/token');

/** Leads to the registry, but says nothing to a TLS hello, as a server does that waits for a line of text. */
async function silentToTls({ host }: { host: string }) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (first: Buffer) => {
      if (first[0] === 0x16) return;
      socket.pause();
      const behind = connect(Number(host.split(':')[1]), '127.0.0.1', () => {
        behind.write(first);
        socket.pipe(behind).pipe(socket);
      });
      behind.on('error', () => socket.destroy());
    });
    open.add(socket);
  });
  const open = new Set<Socket>();
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((settle) => server.close(settle));
    },
  };
}

/** Numbered tokens, of which the registry accepts those that `isGood` says. */
function tokenRegistry(isGood: (token: string) => boolean = () => true, answer: Partial<Record<string, unknown>> = {}) {
  let issued = 0;
  return scriptedRegistry((request) => {
    if (isToken(request)) {
      issued += 1;
      return { body: JSON.stringify({ token: `t${issued}`, expires_in: 300, ...answer }) };
    }
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined || !isGood(token)) return bearer();
    return found;
  });
}

describe('bearer tokens', () => {
  it('are asked for with the login and the scope of one repository, once', async () => {
    await using registry = await tokenRegistry();
    await using client = testClient({ login });
    const target = { ...repositoryAt(registry), tag: '1' };
    await Promise.all([headManifest(client, target), headManifest(client, target), headManifest(client, target)]);
    await headManifest(client, target);
    const asked = registry.requests.filter(isToken);
    expect(asked.map(({ url }) => url)).toEqual(['/token?service=reg&scope=repository%3Ateam%2Fapp%3Apull&account=me']);
    expect(asked[0]?.headers.authorization).toBe(basicOf(login));
    expect(registry.requests.filter((request) => !isToken(request))).toHaveLength(4);
  });

  it('are one a repository and action', async () => {
    await using registry = await tokenRegistry();
    await using client = testClient({ login });
    await headManifest(client, { ...repositoryAt(registry, 'a'), tag: '1' });
    await headManifest(client, { ...repositoryAt(registry, 'b'), tag: '1' });
    await expect(startUpload(client, repositoryAt(registry, 'b'))).rejects.toThrow();
    const scopes = registry.requests
      .filter(isToken)
      .map(({ url }) => new URL(url, registry.url).searchParams.get('scope'));
    expect(scopes).toEqual(['repository:a:pull', 'repository:b:pull', 'repository:b:pull,push']);
  });

  it('name the needed scope first when a blob is mounted', async () => {
    await using registry = await tokenRegistry();
    await using client = testClient({ login });
    await expect(startUpload(client, repositoryAt(registry), { mount: { digest, from: 'base' } })).rejects.toThrow();
    const [asked] = registry.requests.filter(isToken);
    expect(new URL(asked?.url ?? '', registry.url).searchParams.getAll('scope')).toEqual([
      'repository:team/app:pull,push',
      'repository:base:pull',
    ]);
  });

  it('are renewed once when the registry no longer takes them, whoever notices', async () => {
    let revoked = false;
    await using registry = await tokenRegistry((token) => !(revoked && token === 't1'));
    await using client = testClient({ login });
    const target = { ...repositoryAt(registry), tag: '1' };
    await headManifest(client, target);
    revoked = true;
    await Promise.all([headManifest(client, target), headManifest(client, target)]);
    expect(registry.requests.filter(isToken)).toHaveLength(2);
  });

  it('are asked for with the scope of the challenge where ours was not enough', async () => {
    await using registry = await scriptedRegistry((request) => {
      if (isToken(request))
        return { body: JSON.stringify({ access_token: request.url.includes('odd') ? 'odd' : 'ours' }) };
      if (request.headers.authorization === 'Bearer odd') return found;
      return bearer(',scope="registry:odd:*",error="insufficient_scope"');
    });
    await using client = testClient();
    // The ping teaches the realm, so that the first token has our own scope.
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
    expect(
      registry.requests.filter(isToken).map(({ url }) => new URL(url, registry.url).searchParams.get('scope')),
    ).toEqual(['repository:team/app:pull', 'registry:odd:*']);
  });

  it('are asked for with our own scope first, though the challenge names a placeholder', async () => {
    await using registry = await scriptedRegistry((request) => {
      if (request.url === '/v2/') return { status: 200 };
      if (isToken(request)) {
        const scopes = new URL(request.url, 'http://r').searchParams.getAll('scope').join(' ');
        return scopes === 'repository:team/app:pull' ? { body: '{"token":"ok"}' } : { status: 403 };
      }
      return request.headers.authorization === 'Bearer ok' ? found : bearer(',scope="repository:user/image:pull"');
    });
    await using client = testClient();
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
  });

  it('are asked for once more with the same scope where the challenge asks for less', async () => {
    await using registry = await tokenRegistry((token) => token !== 't1');
    await using client = testClient({ login });
    await headManifest(client, { ...repositoryAt(registry), tag: '1' }, { access: 'push' });
    const scopes = registry.requests
      .filter(isToken)
      .map(({ url }) => new URL(url, registry.url).searchParams.getAll('scope'));
    expect(scopes).toEqual([['repository:team/app:pull,push'], ['repository:team/app:pull,push']]);
  });

  it('are asked for without the scope that a realm brings along, as that of nvcr.io does', async () => {
    await using registry = await scriptedRegistry((request) => {
      if (isToken(request)) return { body: '{"token":"ok"}' };
      if (request.headers.authorization === 'Bearer ok') return found;
      return {
        status: 401,
        headers: { 'www-authenticate': 'Bearer realm="/token?x=1&scope=repository:other:pull,push"' },
      };
    });
    await using client = testClient();
    await headManifest(client, { ...repositoryAt(registry), tag: '1' });
    expect(registry.log().find((line) => line.includes('/token'))).toBe(
      'GET /token?x=1&scope=repository%3Ateam%2Fapp%3Apull',
    );
  });

  it.each([200, 400, 401, 403, 404, 405, 415])(
    'come from POST with an identity token, or from GET where that is answered %i',
    async (status) => {
      const knowsPost = status === 200;
      await using registry = await scriptedRegistry((request) => {
        if (!isToken(request)) return request.headers.authorization === 'Bearer ok' ? found : bearer();
        if (request.method === 'POST' && !knowsPost) return { status };
        return { body: JSON.stringify({ access_token: 'ok' }) };
      });
      await using client = testClient({ login: { username: 'me', identityToken: 'refresh' } });
      await headManifest(client, { ...repositoryAt(registry), tag: '1' });
      const [post, get] = registry.requests.filter(isToken);
      expect(Object.fromEntries(new URLSearchParams(post?.body.toString()))).toEqual({
        grant_type: 'refresh_token',
        service: 'reg',
        client_id: 'tranship',
        scope: 'repository:team/app:pull',
        refresh_token: 'refresh',
      });
      expect(get?.headers.authorization).toBe(
        knowsPost ? undefined : basicOf({ username: 'me', identityToken: 'refresh' }),
      );
    },
  );

  it('are not asked for at a foreign host: the login stays here', async () => {
    await using thief = await scriptedRegistry(() => ({ body: JSON.stringify({ token: 'x' }) }));
    await using registry = await scriptedRegistry(() => ({
      status: 401,
      headers: {
        'www-authenticate': `Bearer realm="http://thief.localtest.example:${thief.host.split(':')[1]}/token"`,
      },
    }));
    await using client = testClient({ login });
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      code: 'unsafe',
    });
    expect(thief.requests).toEqual([]);
  });

  it('are not asked for where the token server redirects to', async () => {
    await using thief = await scriptedRegistry(() => ({ body: JSON.stringify({ token: 'x' }) }));
    await using registry = await scriptedRegistry((request) =>
      isToken(request) ? { status: 307, headers: { location: `${thief.url}/token` } } : bearer(),
    );
    await using client = testClient({ login });
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      code: 'unsafe',
    });
    expect(thief.requests).toEqual([]);
  });

  it('are asked for where the token server redirects to on the same server, with a login too', async () => {
    await using registry = await scriptedRegistry((request) => {
      if (request.url.startsWith('/token?'))
        return { status: 301, headers: { location: request.url.replace('/token', '/token/') } };
      if (isToken(request)) return { body: '{"token":"ok"}' };
      return request.headers.authorization === 'Bearer ok' ? found : bearer();
    });
    await using client = testClient({ login });
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
    expect(registry.requests.filter(isToken).map(({ headers }) => headers.authorization)).toEqual(
      Array(2).fill(basicOf(login)),
    );
  });

  it('are asked for where the token server redirects to, without a login', async () => {
    await using other = await scriptedRegistry(() => ({ body: '{"token":"ok"}' }));
    await using registry = await scriptedRegistry((request) => {
      if (isToken(request)) return { status: 307, headers: { location: `${other.url}/token` } };
      return request.headers.authorization === 'Bearer ok' ? found : bearer();
    });
    await using client = testClient();
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it.each(['http://169.254.169.254/latest', 'http://[fe80::1]/token', 'http://100.100.100.200/'])(
    'are not asked for at %s, without a login either, nor where a redirect leads there',
    async (address) => {
      for (const realm of [address, '/token']) {
        await using registry = await scriptedRegistry((request) =>
          isToken(request)
            ? { status: 302, headers: { location: address } }
            : { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}"` } },
        );
        await using client = testClient();
        await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
          class: 'permanent',
          code: 'unsafe',
          message: expect.stringContaining('link-local'),
        });
      }
    },
  );

  it('are waited for where the token server is throttled', async () => {
    let asked = 0;
    await using registry = await scriptedRegistry((request) => {
      if (!isToken(request)) return request.headers.authorization === 'Bearer ok' ? found : bearer();
      asked += 1;
      return asked === 1 ? { status: 429, headers: { 'retry-after': '0' } } : { body: '{"token":"ok"}' };
    });
    await using client = testClient();
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
  });

  it('are preferred to Basic, and NTLM and Negotiate are passed over', async () => {
    await using registry = await scriptedRegistry((request) => {
      if (isToken(request)) return { body: '{"token":"ok"}' };
      if (request.headers.authorization === 'Bearer ok') return found;
      const schemes = ['Negotiate', 'NTLM', 'Basic realm="r"', 'BEARER Realm="/token"'];
      return { status: 401, headers: { 'www-authenticate': schemes } };
    });
    await using client = testClient({ login });
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
  });

  it('never pass for a missing repository where the token server is missing', async () => {
    await using registry = await scriptedRegistry((request) => (isToken(request) ? { status: 404 } : bearer()));
    await using client = testClient();
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      code: 'protocol',
      mend: expect.stringContaining('/token as its token server'),
    });
  });

  it('may be refused for a name that the registry does not take', async () => {
    await using registry = await scriptedRegistry((request) => (isToken(request) ? { status: 400 } : bearer()));
    await using client = testClient();
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      code: 'unauthorized',
      mend: expect.stringContaining('takes a repository named team/app'),
    });
  });

  it('are not looked for in a web page', async () => {
    await using registry = await scriptedRegistry((request) =>
      isToken(request) ? { body: '<html>Sign in</html>' } : bearer(),
    );
    await using client = testClient();
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      message: expect.stringContaining('answers with a web page'),
      mend: expect.stringContaining('/token as its token server'),
    });
  });

  it('are not asked for where no token server is named: the login goes out as Basic', async () => {
    await using registry = await scriptedRegistry(({ headers }) =>
      headers.authorization === basicOf(login)
        ? found
        : { status: 401, headers: { 'www-authenticate': 'Bearer realm="",service=""' } },
    );
    await using client = testClient({ login });
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).resolves.toMatchObject({ digest });
  });

  it('are refused in sizes that are none', async () => {
    await using registry = await scriptedRegistry((request) =>
      isToken(request) ? { body: `{"token":"${'x'.repeat(1024 * 1024)}"}` } : bearer(),
    );
    await using client = testClient();
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      code: 'limit-exceeded',
    });
  });
});

describe('a token answer', () => {
  const call = {
    repository: { registry: 'r.example', repository: 'a' },
    operation: 'get token',
    subject: 'r.example/a',
  };
  const now = Date.UTC(2026, 0, 1);
  const read = (answer: unknown) => parseToken(call, Buffer.from(JSON.stringify(answer)), now);

  it.each([
    [{ token: 'x' }, 60],
    [{ access_token: 'x', expires_in: 10 }, 60],
    [{ token: 'x', expires_in: 300 }, 300],
    [{ token: 'x', expires_in: 300, issued_at: new Date(now - 100_000).toISOString() }, 200],
    [{ token: 'x', expires_in: 300, issued_at: new Date(now + 100_000).toISOString() }, 300],
    [{ token: 'x', expires_in: 300, issued_at: '0001-01-01T00:00:00Z' }, 300],
    [{ token: 'x', expires_in: 1e12 }, 24 * 3600],
    [{ token: ' x\n', expires_in: '3600' }, 3600],
    [{ token: '', access_token: 'x', expires_in: 299.9 }, 299.9],
    [{ token: 'x', expires_in: 'soon', issued_at: 'yesterday' }, 60],
    [{ token: 'x', expires_in: -1, issued_at: 1700000000 }, 60],
  ])('%j lives %d s', (answer, seconds) => {
    expect(read(answer)).toEqual({ token: 'x', expiresAt: now + seconds * 1000 });
  });

  it.each([[{}], [{ token: '' }], [{ token: 'a\nb' }], [null], [[]]])('%j is none', (answer) => {
    expect(() => read(answer)).toThrowError(expect.objectContaining({ class: 'transient', code: 'protocol' }));
  });
});

describe('logins', () => {
  const wanting =
    (authorization: string): Script =>
    (request) =>
      request.headers.authorization === authorization
        ? found
        : { ...ociError(401, 'UNAUTHORIZED', 'bad login'), headers: { 'www-authenticate': 'Basic realm="r"' } };

  it('go out as Basic where the registry asks for that', async () => {
    await using registry = await scriptedRegistry(wanting(basicOf(login)));
    await using client = testClient({ login });
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
    expect(registry.requests).toHaveLength(1);
  });

  it('go out as Basic with each of the first requests, though one alone learns the scheme', async () => {
    const waiting: ServerResponse[] = [];
    await using registry = await scriptedRegistry(({ url, headers }, response) => {
      if (url === '/v2/') return undefined;
      if (headers.authorization !== undefined)
        return headers.authorization === basicOf(login) ? found : { status: 403 };
      waiting.push(response);
      if (waiting.length < 2) return 'answered';
      for (const one of waiting) one.writeHead(401, { 'www-authenticate': 'Basic realm="reg"' }).end();
      return 'answered';
    });
    await using client = testClient({ login });
    const heads = ['a', 'b'].map((name) => headManifest(client, { ...repositoryAt(registry, name), tag: '1' }));
    expect(await Promise.all(heads)).toMatchObject([{ digest }, { digest }]);
  });

  it('are not waited for where the call is stopped, as while a credential helper hangs', async () => {
    const stop = new AbortController();
    const lookup = () => {
      stop.abort();
      return new Promise<never>(() => {});
    };
    await using client = testClient({ credentials: { lookup } });
    const head = headManifest(client, { registry: 'a.io', repository: 'x', tag: '1' }, { signal: stop.signal });
    await expect(head).rejects.toMatchObject({ code: 'aborted' });
  });

  it('are read afresh when they are refused, and then used', async () => {
    const renewed = { username: 'me', password: 'new', insecure: true };
    const asked: boolean[] = [];
    const credentials: Credentials = {
      async lookup(_repository, { fresh = false } = {}) {
        asked.push(fresh);
        return asked.includes(true) ? renewed : { ...login, insecure: true };
      },
    };
    await using registry = await scriptedRegistry(wanting(basicOf(renewed)));
    await using client = testClient({ credentials });
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
    expect(asked).toEqual([false, true]);
  });

  it('are read afresh where an expired one gets a 403, as at ECR', async () => {
    const renewed = { username: 'AWS', password: 'new', insecure: true };
    let isRenewed = false;
    const credentials: Credentials = {
      async lookup(_repository, { fresh = false } = {}) {
        isRenewed ||= fresh;
        return isRenewed ? renewed : { username: 'AWS', password: 'old', insecure: true };
      },
    };
    await using registry = await scriptedRegistry((request) => {
      if (request.headers.authorization === undefined)
        return { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } };
      return request.headers.authorization === basicOf(renewed) ? found : ociError(403, 'DENIED', 'token has expired');
    });
    await using client = testClient({ credentials });
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
  });

  it('that are refused for good end in one clear error, without the secret', async () => {
    await using registry = await scriptedRegistry(() => ({
      ...ociError(401, 'UNAUTHORIZED', `no: hunter2 ${basicOf(login)}`),
      headers: { 'www-authenticate': 'Basic realm="r"' },
    }));
    await using client = testClient({ login });
    const error = await openBlob(client, repositoryAt(registry), digest).catch((thrown) => thrown);
    expect(error).toMatchObject({
      class: 'permanent',
      code: 'unauthorized',
      site: { status: 401, registry: registry.host },
    });
    expect(error.message).toContain('UNAUTHORIZED');
    expect(error.mend).toContain('user me');
    expect(error.mend).not.toContain('blank');
    expect(error.message).not.toMatch(/hunter2|bWU6/);
    expect(registry.requests).toHaveLength(1);
  });

  it('that end with a blank are told of it', async () => {
    await using registry = await scriptedRegistry(() => ({
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="r"' },
    }));
    await using client = testClient({ login: { username: 'me', password: 'hunter2 ' } });
    await expect(openBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({
      code: 'unauthorized',
      mend: expect.stringContaining('ends with a blank'),
    });
  });

  it.each([403, 404])(
    'go out where what is asked for is denied with %i, though nobody asked to log in',
    async (status) => {
      await using registry = await scriptedRegistry(({ url, headers }) => {
        if (url === '/v2/') return undefined;
        return headers.authorization === basicOf(login) ? found : { status };
      });
      await using client = testClient({ login });
      const tag = { ...repositoryAt(registry), tag: '1' };
      expect(await headManifest(client, tag)).toMatchObject({ digest });
      expect(await headManifest(client, tag)).toMatchObject({ digest });
      expect(registry.requests).toHaveLength(3);
    },
  );

  it('go out as Basic where a 401 names no scheme at all', async () => {
    await using registry = await scriptedRegistry(({ headers }) =>
      headers.authorization === basicOf(login) ? found : { status: 401 },
    );
    await using client = testClient({ login });
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
  });

  it.each([
    ['404', { status: 404 }],
    ['a web page', { headers: { 'content-type': 'text/html' }, body: '<html>' }],
    ['403', { status: 403 }],
    ['a redirect', { status: 302, headers: { location: '/login' } }],
  ])('are asked for by the request itself where /v2/ answers %s', async (_what, ping) => {
    await using registry = await scriptedRegistry((request) => {
      if (request.url === '/v2/') return ping;
      if (isToken(request)) return { body: '{"token":"ok"}' };
      return request.headers.authorization === 'Bearer ok' ? found : bearer();
    });
    await using client = testClient({ login });
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
  });

  it('that are missing are not spoken of as if they were there', async () => {
    await using registry = await scriptedRegistry(() => ({ status: 401, headers: { 'www-authenticate': 'Basic' } }));
    await using client = testClient();
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      mend: expect.stringMatching(/^no login is known/),
    });
  });

  it('that are missing are named as what is missing', async () => {
    await using registry = await scriptedRegistry(() => ({
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="r"' },
    }));
    await using client = testClient();
    await expect(listTags(client, repositoryAt(registry)).next()).rejects.toMatchObject({
      code: 'unauthorized',
      mend: expect.stringContaining(registry.host),
    });
  });

  it('of a registry token go out as they are', async () => {
    await using registry = await scriptedRegistry(wanting('Bearer as-it-is'));
    await using client = testClient({ login: { registryToken: 'as-it-is' } });
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
  });

  it('are asked for at /v2/ where a 401 has no challenge', async () => {
    let pings = 0;
    await using registry = await scriptedRegistry((request) => {
      if (request.url === '/v2/') {
        pings += 1;
        return pings === 1 ? { status: 200 } : bearer();
      }
      if (isToken(request)) return { body: JSON.stringify({ token: 'ok' }) };
      return request.headers.authorization === 'Bearer ok' ? found : { status: 401 };
    });
    await using client = testClient();
    expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
  });
});

describe('plain http', () => {
  it('is spoken to an insecure registry that does not answer to TLS at all', async () => {
    await using registry = await scriptedRegistry(() => found);
    await using front = await silentToTls(registry);
    await using client = testClient({ stallMs: 200 });
    const repository = { registry: front.host, repository: 'team/app' };
    expect(await headManifest(client, { ...repository, tag: '1' })).toMatchObject({ digest });
  });

  it('is never spoken to a registry that is not said to be insecure', async () => {
    await using registry = await scriptedRegistry(() => found);
    await using client = testClient({ credentials: { lookup: async () => ({ insecure: false }) } });
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      class: 'permanent',
      code: 'network',
      mend: expect.stringContaining('insecure'),
    });
    expect(registry.requests).toEqual([]);
  });

  it('is spoken to a registry on this machine of which nothing is said, as Docker does', async () => {
    await using registry = await scriptedRegistry((request) => {
      if (isToken(request)) return { body: JSON.stringify({ token: 'ok' }) };
      return request.headers.authorization === 'Bearer ok' ? found : bearer();
    });
    for (const login of [undefined, { username: 'me', password: 'x' }]) {
      await using client = testClient({ credentials: { lookup: async () => login } });
      const repository = { registry: registry.host.replace('127.0.0.1', 'localhost'), repository: 'team/app' };
      expect(await headManifest(client, { ...repository, tag: '1' })).toMatchObject({ digest });
      expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toMatchObject({ digest });
    }
  });
});

describe('a registry with Basic logins and public repositories', () => {
  it('is asked without a login after it has refused another repository', async () => {
    await using registry = await scriptedRegistry(({ url }) => {
      if (!url.startsWith('/v2/private/')) return url === '/v2/' ? undefined : found;
      return { status: 401, headers: { 'www-authenticate': 'Basic realm="nexus"' } };
    });
    await using client = testClient();
    const head = (repository: string) => headManifest(client, { ...repositoryAt(registry, repository), tag: '1' });
    await expect(head('private/app')).rejects.toMatchObject({ class: 'permanent', code: 'unauthorized' });
    expect(await head('public/app')).toMatchObject({ digest });
  });
});

describe('what keeps a login from being found', () => {
  it('is told once, whatever the number of registries and requests', async () => {
    await using one = await scriptedRegistry(() => ({ status: 404 }));
    await using two = await scriptedRegistry(() => ({ status: 404 }));
    const warnings: string[] = [];
    await using client = testClient({
      credentials: {
        async lookup(_repository, { warn } = {}) {
          warn?.('docker-credential-x is not installed');
          return { insecure: true };
        },
      },
      onWarning: (message) => void warnings.push(message),
    });
    for (const registry of [one, two, one]) {
      expect(await headManifest(client, { ...repositoryAt(registry), tag: '1' })).toBeUndefined();
    }
    expect(warnings).toEqual(['docker-credential-x is not installed']);
  });
});
