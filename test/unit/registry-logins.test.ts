import type { ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Credentials } from '../../core/model/credentials.ts';
import { openBlob } from '../../core/registry/blobs.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { listTags } from '../../core/registry/tags.ts';
import { basicOf, bearer, digest, found, isToken } from '../support/login-scripts.ts';
import {
  login,
  ociError,
  repositoryAt,
  type Script,
  type ScriptedAnswer,
  scriptedRegistry,
  testClient,
} from '../support/scripted-registry.ts';

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

describe('a registry that redirects its readers to another one', () => {
  /** Both want a login; what the other one says to a request with the token of a guest. */
  async function redirecting(asGuest: ScriptedAnswer, realm = '/token') {
    const challenge = { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}",scope="a:b:pull"` } };
    const other = await scriptedRegistry((request) => {
      if (isToken(request)) return { body: JSON.stringify({ token: 'guest' }) };
      return request.headers.authorization === 'Bearer guest' ? asGuest : challenge;
    });
    const registry = await scriptedRegistry((request) => {
      if (request.headers.authorization !== basicOf(login)) {
        return { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } };
      }
      return request.url === '/v2/'
        ? undefined
        : { status: 307, headers: { location: `${other.url}/v2/public/app/manifests/1` } };
    });
    const client = testClient({ login });
    return {
      other,
      head: () => headManifest(client, { ...repositoryAt(registry), tag: '1' }),
      async [Symbol.asyncDispose]() {
        await client[Symbol.asyncDispose]();
        await registry[Symbol.asyncDispose]();
        await other[Symbol.asyncDispose]();
      },
    };
  }

  it('is followed with the token that the other gives to anyone, and without a login', async () => {
    await using at = await redirecting(found);
    expect(await at.head()).toMatchObject({ digest });
    await at.head();
    const sent = at.other.requests.map(({ headers }) => headers.authorization);
    expect(new Set(sent)).toEqual(new Set([undefined, 'Bearer guest']));
    expect(at.other.requests.filter(isToken)).toHaveLength(1);
  });

  it.each<[string, ScriptedAnswer, string]>([
    ['gives no token to guests', found, '/nowhere'],
    ['has its tokens elsewhere', found, 'https://auth.example.com/token'],
    ['lets guests read nothing', bearer(), '/token'],
  ])('fails at once where the other %s, and is told by its name', async (_what, asGuest, realm) => {
    await using at = await redirecting(asGuest, realm);
    await expect(at.head()).rejects.toMatchObject({
      class: 'permanent',
      code: 'unauthorized',
      mend: expect.stringContaining(`name ${at.other.host}/public/app in the rule`),
    });
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
