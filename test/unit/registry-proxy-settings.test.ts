import { describe, expect, it } from 'vitest';
import { parseNoProxy } from '../../core/registry/wire/no-proxy.ts';
import { proxyAuthorization, proxyFor, proxyName, readProxySettings } from '../../core/registry/wire/proxy.ts';

/** Which proxy, as `kind host:port`, leads to a URL. */
function routeOf(env: Record<string, string>, url: string): string | undefined {
  const proxy = proxyFor(readProxySettings(env), new URL(url));
  return proxy && `${proxy.kind} ${proxyName(proxy)}`;
}

describe('the variables of proxies', () => {
  it.each([
    ['none', {}, undefined, undefined],
    ['HTTPS_PROXY is for https', { HTTPS_PROXY: 'http://p:1' }, 'http p:1', undefined],
    ['HTTP_PROXY is for http', { HTTP_PROXY: 'http://p:1' }, undefined, 'http p:1'],
    ['ALL_PROXY is for both', { ALL_PROXY: 'http://p:1' }, 'http p:1', 'http p:1'],
    ['ALL_PROXY comes last', { all_proxy: 'http://a:1', HTTPS_PROXY: 'http://p:2' }, 'http p:2', 'http a:1'],
    ['lower case comes first', { HTTPS_PROXY: 'http://p:1', https_proxy: 'http://q:2' }, 'http q:2', undefined],
    ['empty is unset', { HTTPS_PROXY: 'http://p:1', https_proxy: ' ' }, 'http p:1', undefined],
    ['CGI: HTTP_PROXY is a header', { REQUEST_METHOD: 'GET', HTTP_PROXY: 'http://p:1' }, undefined, undefined],
    ['CGI: http_proxy is none', { REQUEST_METHOD: 'GET', http_proxy: 'http://p:1' }, undefined, 'http p:1'],
  ])('%s', (_what, env: Record<string, string>, https, http) => {
    expect(routeOf(env, 'https://registry.corp.test/')).toBe(https);
    expect(routeOf(env, 'http://registry.corp.test/')).toBe(http);
  });

  it.each([
    ['proxy.corp:3128', 'http proxy.corp:3128'],
    ['proxy.corp', 'http proxy.corp:80'],
    ['10.0.0.1:3128', 'http 10.0.0.1:3128'],
    ['HTTP://Proxy.Corp:80/', 'http proxy.corp:80'],
    ['https://proxy.corp', 'https proxy.corp:443'],
    ['https://proxy.corp:80', 'https proxy.corp:80'],
    ['http://[::1]:3128', 'http [::1]:3128'],
    ['socks5://proxy.corp', 'socks5 proxy.corp:1080'],
    ['socks5h://u:p@proxy.corp:9050', 'socks5 proxy.corp:9050'],
    ['socks://proxy.corp:1080/', 'socks5 proxy.corp:1080'],
  ])('%s is %s', (value, expected) => {
    expect(routeOf({ HTTPS_PROXY: value }, 'https://r.example/')).toBe(expected);
  });

  it.each([
    ['http://me:pw@p:1', 'me:pw'],
    ['me:pw@p:1', 'me:pw'],
    ['http://DOM%5Cuser:p%40ss%3A%231@p:1', 'DOM\\user:p@ss:#1'],
    ['http://DOM\\user:p@ss/#?1@p:1', 'DOM\\user:p@ss/#?1'],
    ['http://me@p:1', 'me:'],
    ['http://me:100%@p:1', 'me:100%'],
    ['http://me:%C3%BC%zz@p:1', 'me:ü%zz'],
  ])('the login of %s is %s', (value, login) => {
    const proxy = readProxySettings({ HTTPS_PROXY: value })?.https;
    expect(proxy && proxyName(proxy)).toBe('p:1');
    expect(proxy && proxyAuthorization(proxy)).toBe(`Basic ${Buffer.from(login).toString('base64')}`);
  });

  it.each(['ftp://user:hunter2@p:1', 'socks4://p:1', 'http://', 'http://p:99999', 'http://a b:1', 'http://p:1/path'])(
    '%s is refused without being repeated',
    (value) => {
      const read = () => readProxySettings({ https_proxy: value });
      expect(read).toThrowError(expect.objectContaining({ class: 'configuration', code: 'config-invalid' }));
      expect(read).toThrow(/^https_proxy is not the URL of a proxy$/);
    },
  );
});

describe('NO_PROXY', () => {
  it.each([
    ['', 'https://registry.corp.test', false],
    // Loopback is always direct, as in Go.
    ['', 'https://localhost:5000', true],
    ['', 'https://127.0.0.2:5000', true],
    ['', 'https://[::1]:5000', true],
    ['*', 'https://registry.corp.test', true],
    ['a, *', 'https://registry.corp.test', true],
    ['corp.test', 'https://corp.test', true],
    ['corp.test', 'https://registry.corp.test', true],
    ['corp.test', 'https://notcorp.test', false],
    ['.corp.test', 'https://registry.corp.test', true],
    ['.corp.test', 'https://corp.test', true],
    ['*.corp.test', 'https://registry.corp.test', true],
    ['*.corp.test', 'https://corp.test', false],
    ['CORP.test.', 'https://Registry.Corp.Test', true],
    ['x , corp.test\tother.test', 'https://other.test', true],
    ['bücher.example', 'https://xn--bcher-kva.example', true],
    ['corp.test:5000', 'https://corp.test:5000', true],
    ['corp.test:5000', 'https://corp.test', false],
    ['corp.test:443', 'https://corp.test', true],
    ['corp.test:80', 'http://registry.corp.test', true],
    ['10.0.0.0/8', 'https://10.2.3.4:5000', true],
    ['10.9.9.9/8', 'https://10.2.3.4', true],
    ['10.0.0.0/8', 'https://11.2.3.4', false],
    ['10.0.0.0/8', 'https://10.corp.test', false],
    ['10.2.3.4', 'https://10.2.3.4:5000', true],
    ['10.2.3.4:5000', 'https://10.2.3.4:5000', true],
    ['10.2.3.4:5000', 'https://10.2.3.4', false],
    ['2.3.4', 'https://10.2.3.4', false],
    ['fd00::/8', 'https://[fd12::1]:5000', true],
    ['[fd00::]/8', 'https://[fd12::1]', true],
    ['fd12::1', 'https://[fd12::1]:5000', true],
    ['[fd12::1]', 'https://[fd12:0::1]', true],
    ['[fd12::1]:5000', 'https://[fd12::1]:5000', true],
    ['[fd12::1]:5000', 'https://[fd12::1]', false],
    [':5000,/,10.0.0.0/99,.', 'https://registry.corp.test:5000', false],
  ])('"%s" lets %s go direct: %s', (list, url, expected) => {
    expect(parseNoProxy(list)(new URL(url))).toBe(expected);
  });
});
