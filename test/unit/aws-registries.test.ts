import { afterEach, describe, expect, it, vi } from 'vitest';
import { closeRegistryClient } from '../../core/registry/client.ts';
import { proxyFor, proxyName } from '../../core/registry/wire/proxy.ts';
import { openRegistries } from '../../functions/aws/registries.ts';

afterEach(() => void vi.unstubAllEnvs());

describe("the functions' registries", () => {
  it('are reached through the proxy that the environment names', async () => {
    vi.stubEnv('AWS_REGION', 'eu-central-1');
    vi.stubEnv('TRANSHIP_AUTH_SECRETS', 'logins');
    for (const name of ['https_proxy', 'no_proxy']) vi.stubEnv(name, '');
    vi.stubEnv('HTTPS_PROXY', 'proxy.corp.test:3128');
    vi.stubEnv('NO_PROXY', '.corp.test');
    const client = openRegistries();
    const routeOf = (url: string) => {
      const proxy = proxyFor(client.options.proxy, new URL(url));
      return proxy && proxyName(proxy);
    };
    expect(routeOf('https://quay.io/')).toBe('proxy.corp.test:3128');
    expect(routeOf('https://registry.corp.test/')).toBeUndefined();
    await closeRegistryClient(client);
  });
});
