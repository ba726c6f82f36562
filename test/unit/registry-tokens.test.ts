import { describe, expect, it } from 'vitest';
import { parseToken } from '../../core/registry/auth/token.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { startUpload } from '../../core/registry/uploads.ts';
import { basicOf, bearer, digest, found, isToken } from '../support/login-scripts.ts';
import { login, repositoryAt, scriptedRegistry, testClient } from '../support/scripted-registry.ts';

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
