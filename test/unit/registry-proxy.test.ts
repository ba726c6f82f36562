import { describe, expect, it } from 'vitest';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { openBlob } from '../../core/registry/blobs.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { readProxySettings } from '../../core/registry/wire/proxy.ts';
import { httpProxy, socksProxy } from '../support/proxies.ts';
import { rawServer } from '../support/raw-server.ts';
import { scriptedRegistry, type TestClient, testClient } from '../support/scripted-registry.ts';
import { fixture, tlsRegistry } from '../support/tls-registry.ts';

/** A name that no resolver here knows: only a proxy leads to it. */
const target = { registry: 'registry.corp.test', repository: 'a', tag: '1' };
const corp: AuthEntry = { ca: fixture('corp-ca.pem'), insecure: false };
const portOf = (host: string) => Number(host.split(':')[1]);

const clientBy = (env: Record<string, string>, login: AuthEntry = corp) =>
  testClient({ proxy: readProxySettings(env), login });

describe('a registry behind a proxy', () => {
  it('is reached by CONNECT, and its certificate is checked against its own name', async () => {
    await using registry = await tlsRegistry('corp');
    await using proxy = await httpProxy(registry.port);
    await using client = clientBy({ HTTPS_PROXY: proxy.host });
    expect(await headManifest(client, target)).toBeUndefined();
    expect(new Set(proxy.asked)).toEqual(new Set(['CONNECT registry.corp.test:443']));
    expect(new Set(proxy.logins)).toEqual(new Set([undefined]));

    await using stranger = clientBy({ HTTPS_PROXY: proxy.host }, { insecure: false });
    await expect(headManifest(stranger, target)).rejects.toMatchObject({
      class: 'permanent',
      message: expect.stringContaining('the certificate of registry.corp.test is not accepted'),
    });
    await expect(headManifest(client, { ...target, registry: 'other.corp.test' })).rejects.toThrow(
      'it is not for other.corp.test, but for registry.corp.test, localhost, 127.0.0.1',
    );
  });

  it('gets its plain http requests by way of the proxy whole', async () => {
    await using registry = await scriptedRegistry(() => ({ status: 404 }));
    await using proxy = await httpProxy(portOf(registry.host));
    await using client = clientBy({ HTTP_PROXY: proxy.host, HTTPS_PROXY: 'http://127.0.0.1:9' }, { insecure: true });
    expect(await headManifest(client, { ...target, registry: 'registry.corp.test:5000' })).toBeUndefined();
    expect(proxy.asked.at(-1)).toBe('HEAD http://registry.corp.test:5000/v2/a/manifests/1');
    expect(registry.requests.every(({ headers }) => headers['proxy-authorization'] === undefined)).toBe(true);
  });

  it('is reached through a proxy that speaks TLS itself', async () => {
    await using registry = await tlsRegistry('corp');
    await using proxy = await httpProxy(registry.port, { tls: true });
    const trust = {
      authorities: async () => [fixture('corp-ca.pem')],
      forRegistry: async () => ({ authorities: [], clients: [] }),
      advice: () => '',
    };
    await using client = testClient({
      proxy: readProxySettings({ HTTPS_PROXY: `https://u:p@${proxy.host}` }),
      login: { insecure: false },
      trust,
    });
    expect(await headManifest(client, target)).toBeUndefined();
    expect(proxy.logins[0]).toBe(`Basic ${Buffer.from('u:p').toString('base64')}`);

    await using stranger = clientBy({ HTTPS_PROXY: `https://${proxy.host}` });
    await expect(headManifest(stranger, target)).rejects.toMatchObject({
      class: 'permanent',
      message: expect.stringMatching(
        /the proxy 127.0.0.1:\d+ \(HTTPS_PROXY\) has a certificate that is not accepted: .*Corp Root CA/,
      ),
    });
  });

  it.each(['socks5', 'socks5h', 'socks'])("is reached by %s, the name being the proxy's to resolve", async (scheme) => {
    await using registry = await tlsRegistry('corp');
    await using proxy = await socksProxy(registry.port, { login: 'me:p@ss' });
    await using client = clientBy({ ALL_PROXY: `${scheme}://me:p%40ss@${proxy.host}` });
    expect(await headManifest(client, target)).toBeUndefined();
    expect(new Set(proxy.asked)).toEqual(new Set(['SOCKS registry.corp.test:443']));
  });

  it('is reached by SOCKS without a login, by its address, in plain http', async () => {
    await using registry = await scriptedRegistry(() => ({ status: 404 }));
    await using proxy = await socksProxy(portOf(registry.host));
    await using client = clientBy({ ALL_PROXY: `socks5://${proxy.host}` }, { insecure: true });
    expect(await headManifest(client, { ...target, registry: '10.1.2.3:5000' })).toBeUndefined();
    expect(await headManifest(client, { ...target, registry: '[fd00::1]:5000' })).toBeUndefined();
    expect(proxy.asked).toContain('SOCKS 10.1.2.3:5000');
    expect(proxy.asked).toContain('SOCKS 253.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1:5000');
  });

  it('is reached without it where NO_PROXY says so', async () => {
    await using registry = await tlsRegistry('corp');
    await using proxy = await httpProxy(registry.port);
    await using client = clientBy({ HTTPS_PROXY: proxy.host, NO_PROXY: '.test' });
    expect(await headManifest(client, registry.target)).toBeUndefined();
    await expect(headManifest(client, target)).rejects.toThrow('DNS does not know the name');
    expect(proxy.asked).toEqual([]);
  });
});

describe('where a registry behind a proxy leads', () => {
  const leading = (location: string) =>
    scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : { status: 307, headers: { location } }));
  const digest = `sha256:${'0'.repeat(64)}` as const;
  const read = (client: TestClient) => openBlob(client, target, digest);

  it.each([
    ['is reached in plain http', 200, undefined],
    ['is told as not reached where what speaks plain http is none', 400, /status 502/],
  ])('behind a proxy that reads TLS and finds none %s', async (_what, status, refusal) => {
    const answer = 'HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n';
    const tls = { cert: fixture('corp.pem'), key: fixture('corp-key.pem') };
    await using gateway = await rawServer(({ socket }) => void socket.write(answer), tls);
    await using registry = await scriptedRegistry(({ url }) => ({ status: url === '/v2/' ? status : 404 }));
    await using reading = await httpProxy(Number(gateway.url.port));
    await using passing = await httpProxy(portOf(registry.host));
    await using client = clientBy({ HTTPS_PROXY: reading.host, HTTP_PROXY: passing.host }, { insecure: true });
    const found = headManifest(client, target);
    if (refusal === undefined) expect(await found).toBeUndefined();
    else await expect(found).rejects.toThrow(refusal);
  });

  it('may be any name that the proxy can resolve', async () => {
    await using registry = await leading('http://store.corp.test/blob');
    await using proxy = await httpProxy(portOf(registry.host));
    await using client = clientBy({ ALL_PROXY: proxy.host }, { insecure: true });
    await expect(read(client)).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringContaining('redirected'),
    });
    expect(proxy.asked).toContain('GET http://store.corp.test/blob');
  });

  it.each(['http://169.254.169.254/latest', 'http://10.0.0.1/', 'http://127.0.0.1:9/'])(
    'is not %s',
    async (location) => {
      await using registry = await leading(location);
      await using proxy = await httpProxy(portOf(registry.host));
      await using client = clientBy({ ALL_PROXY: proxy.host }, { insecure: true });
      await expect(read(client)).rejects.toMatchObject({ class: 'permanent', code: 'unsafe' });
      expect(proxy.asked).not.toContain(`GET ${location}`);
    },
  );
});

describe('a proxy that refuses', () => {
  const login = Buffer.from('me:hunter2').toString('base64');

  it.each([
    [407, { 'proxy-authenticate': 'Basic realm="p"' }, 'permanent', /check the user and password in HTTPS_PROXY/],
    [407, { 'proxy-authenticate': 'Negotiate, NTLM' }, 'permanent', /it takes only Negotiate, NTLM/],
    [403, {}, 'permanent', /add registry.corp.test to NO_PROXY/],
    [405, {}, 'permanent', /NO_PROXY/],
  ])('with %i %o is named, and not asked again', async (status, headers: Record<string, string>, errorClass, mend) => {
    await using proxy = await httpProxy(9, { status, headers });
    await using client = clientBy({ HTTPS_PROXY: `http://me:hunter2@${proxy.host}` });
    const refused = headManifest(client, target);
    await expect(refused).rejects.toMatchObject({
      class: errorClass,
      code: 'network',
      message:
        `ping registry.corp.test: the proxy ${proxy.host} (HTTPS_PROXY) ` +
        `refuses to connect to registry.corp.test:443: status ${status}`,
      mend: expect.stringMatching(mend),
    });
    const error: unknown = await refused.catch((thrown: unknown) => thrown);
    expect(`${JSON.stringify(error)} ${(error as Error).stack}`).not.toMatch(new RegExp(`hunter2|${login}`));
    expect(proxy.asked).toHaveLength(1);
  });

  it.each([502, 503, 504])('with %i may do better later', async (status) => {
    await using proxy = await httpProxy(9, { status });
    await using client = clientBy({ HTTPS_PROXY: proxy.host });
    await expect(headManifest(client, target)).rejects.toMatchObject({
      class: 'transient',
      message: expect.stringContaining(`the proxy ${proxy.host} (HTTPS_PROXY) refuses to connect`),
    });
    expect(proxy.asked).toHaveLength(3);
  });

  it('a plain http request is told from a registry that does', async () => {
    await using proxy = await httpProxy(9, { status: 407 });
    await using client = clientBy({ HTTP_PROXY: proxy.host, HTTPS_PROXY: proxy.host }, { insecure: true });
    await expect(headManifest(client, target)).rejects.toMatchObject({
      class: 'permanent',
      message: expect.stringMatching(
        /the proxy .* \(HTTP_PROXY\) refuses to connect to registry.corp.test: status 407/,
      ),
    });
    await using squid = await httpProxy(9, { status: 403, headers: { 'x-squid-error': 'ERR_ACCESS_DENIED 0' } });
    await using other = clientBy({ HTTP_PROXY: squid.host, HTTPS_PROXY: squid.host }, { insecure: true });
    await expect(headManifest(other, target)).rejects.toThrow(/the proxy .* refuses to connect .*: status 403/);
  });

  it.each([403, 502])(
    'or whose registry does, with %i: a plain http request may have come to either',
    async (status) => {
      await using proxy = await httpProxy(9, { status });
      await using client = clientBy({ HTTP_PROXY: proxy.host, HTTPS_PROXY: proxy.host }, { insecure: true });
      await expect(headManifest(client, target)).rejects.toThrow(
        new RegExp(`status ${status} by way of the proxy ${proxy.host}`),
      );
    },
  );

  it('https is told even where plain http is tried next and leads nowhere', async () => {
    await using proxy = await httpProxy(9, { status: 407 });
    await using client = clientBy({ HTTPS_PROXY: proxy.host }, { insecure: true });
    await expect(headManifest(client, target)).rejects.toThrow(/\(HTTPS_PROXY\) .*: status 407/);
  });

  it.each([
    ['the login', { login: 'me:right' }, 'me:wrong@', 'permanent', /refuses the login/],
    ['to let us in', { login: 'me:right' }, '', 'permanent', /wants a login/],
    ['by its rules', { reply: 2 }, '', 'permanent', /not allowed by its rules/],
    ['for now', { reply: 5 }, '', 'transient', /connection refused/],
  ])('by SOCKS %s', async (_what, options, user, errorClass, message) => {
    await using proxy = await socksProxy(9, options);
    await using client = clientBy({ ALL_PROXY: `socks5://${user}${proxy.host}` });
    await expect(headManifest(client, target)).rejects.toMatchObject({
      class: errorClass,
      message: expect.stringMatching(message),
    });
  });

  it('or is not there is named', async () => {
    await using client = clientBy({ HTTPS_PROXY: 'http://me:hunter2@127.0.0.1:1' });
    await expect(headManifest(client, target)).rejects.toMatchObject({
      class: 'transient',
      message: 'ping registry.corp.test: the proxy 127.0.0.1:1 (HTTPS_PROXY) cannot be reached (ECONNREFUSED)',
    });
  });

  it('or does not speak SOCKS is named', async () => {
    await using proxy = await httpProxy(9);
    await using client = clientBy({ ALL_PROXY: `socks5://${proxy.host}` });
    await expect(headManifest(client, target)).rejects.toThrow(/the proxy .* \(ALL_PROXY\) failed while/);
  });
});
