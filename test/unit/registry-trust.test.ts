import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkRealm } from '../../core/registry/auth/realm.ts';
import type { Call } from '../../core/registry/call.ts';
import { createRegistryClient } from '../../core/registry/client.ts';
import type { Endpoint } from '../../core/registry/state.ts';
import {
  addressKind,
  checkLiteralHost,
  guardedLookup,
  literalKind,
  mayLeadTo,
} from '../../core/registry/wire/address-guard.ts';
import { dial } from '../../core/registry/wire/dial.ts';
import { resolveLocation } from '../../core/registry/wire/redirect.ts';

describe('addresses', () => {
  it.each([
    ['8.8.8.8', 'public'],
    ['2606:4700::1', 'public'],
    ['10.1.2.3', 'private'],
    ['172.31.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['64:ff9b::a00:1', 'private'],
    ['127.0.0.1', 'loopback'],
    ['0.0.0.0', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['::ffff:169.254.169.254', 'link-local'],
    ['64:ff9b::a9fe:a9fe', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['fd00:ec2::254', 'link-local'],
    ['100.100.100.200', 'link-local'],
  ])('%s is %s', (address, kind) => {
    expect(addressKind(address)).toBe(kind);
  });

  it('knows every IPv4 address again inside IPv6', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(addressKind(`::ffff:${address}`)).toBe(addressKind(address));
      }),
    );
  });

  it('tells hosts of URLs that need no DNS, however they are written', () => {
    expect(literalKind(new URL('http://2130706433/').hostname)).toBe('loopback');
    expect(literalKind(new URL('http://0xa9fea9fe/').hostname)).toBe('link-local');
    expect(literalKind(new URL('http://[::1]:5000/').hostname)).toBe('loopback');
    expect(literalKind('localhost.')).toBe('loopback');
    expect(literalKind('registry.example')).toBeUndefined();
  });

  it('lets a registry lead to where it is itself, or outwards', () => {
    expect(mayLeadTo('public', 'private')).toBe(false);
    expect(mayLeadTo('private', 'private')).toBe(true);
    expect(mayLeadTo('private', 'loopback')).toBe(false);
    expect(mayLeadTo('loopback', 'private')).toBe(true);
    expect(mayLeadTo('loopback', 'link-local')).toBe(false);
    expect(mayLeadTo('link-local', 'public')).toBe(true);
  });

  it('refuses the metadata service to a registry anywhere else', async () => {
    await expect(checkLiteralHost('127.0.0.1', '169.254.169.254')).rejects.toMatchObject({ code: 'unsafe' });
    await expect(checkLiteralHost('8.8.8.8', '[::ffff:10.0.0.1]')).rejects.toMatchObject({ code: 'unsafe' });
    await checkLiteralHost('10.0.0.1', '10.0.0.2');
  });

  it('refuses a name that resolves to this machine, unless it is exempt', async () => {
    const resolve = (home: string, exempt: boolean) =>
      new Promise((settle) => {
        guardedLookup(home, () => exempt)('localhost', { all: true }, (error, found) => settle(error ?? found));
      });
    expect(await resolve('8.8.8.8', false)).toMatchObject({ code: 'unsafe' });
    expect(await resolve('8.8.8.8', true)).toContainEqual(expect.objectContaining({ family: expect.any(Number) }));
    expect(await resolve('127.0.0.1', false)).toContainEqual(expect.objectContaining({ family: expect.any(Number) }));
  });

  it('is asked when a name is connected to', async () => {
    const lookup = guardedLookup('8.8.8.8', () => false);
    await expect(dial('localhost', 1, { lookup })).rejects.toMatchObject({ code: 'unsafe' });
  });
});

describe('token servers', () => {
  const check = async (
    registryHost: string,
    realm: string,
    options: { insecure?: boolean; allowedRealms?: string[]; hasLogin?: boolean } = {},
  ) => {
    const url = await checkRealm(realm, new URL(`https://${registryHost}/v2/`), {
      registry: registryHost,
      registryHost: registryHost.replace(/:\d+$/, ''),
      insecure: false,
      allowedRealms: [],
      hasLogin: true,
      ...options,
    });
    return url.href;
  };

  it.each([
    ['registry-1.docker.io', 'https://auth.docker.io/token'],
    ['ghcr.io', 'https://ghcr.io/token'],
    ['quay.io', '/v2/auth'],
    ['registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['registry.example.com', 'https://gitlab.example.com/jwt/auth'],
    ['registry.example.com:5000', 'https://registry.example.com/token'],
    ['harbor.example.co.uk', 'https://auth.example.co.uk/token'],
    ['registry.cn-hangzhou.aliyuncs.com', 'https://dockerauth.cn-hangzhou.aliyuncs.com/auth'],
    ['team-registry.cn-hangzhou.cr.aliyuncs.com', 'https://dockerauth-ee.cn-hangzhou.aliyuncs.com/auth'],
    ['team-registry-vpc.cn-hangzhou.cr.aliyuncs.com', 'https://dockerauth-ee-vpc.cn-hangzhou.aliyuncs.com/auth'],
    ['registry-vpc.cn-beijing.aliyuncs.com', 'https://dockerauth-vpc.cn-beijing.aliyuncs.com/auth'],
    ['registry-intl.ap-southeast-1.aliyuncs.com', 'https://dockerauth.ap-southeast-1.aliyuncs.com/auth'],
    ['registry.cn-zhangjiakou.aliyuncs.com', 'https://dockerauth-cn-zhangjiakou.aliyuncs.com/auth'],
    ['crpi-0123456789abcdef.cn-beijing.personal.cr.aliyuncs.com', 'https://dockerauth.cn-hangzhou.aliyuncs.com/auth'],
    ['crpi-1-vpc.cn-guangzhou.personal.cr.aliyuncs.com', 'https://dockerauth-cn-guangzhou.aliyuncs.com/auth'],
    ['rg.fr-par.scw.cloud', 'https://api.scaleway.com/registry-internal/v1/regions/fr-par/tokens'],
    ['registry.digitalocean.com', 'https://api.digitalocean.com/v2/registry/auth'],
    ['docker.elastic.co', 'https://docker-auth.elastic.co/auth'],
    ['nvcr.io', 'https://nvcr.io/proxy_auth?scope=repository:a:pull'],
    ['nvcr.io', 'https://authn.nvidia.com/token'],
    ['registry.redhat.io', 'https://registry.redhat.io/auth/realms/rhcc/protocol/redhat-docker-v2/auth'],
    ['registry.redhat.io', 'https://sso.redhat.com/auth/realms/rhcc/protocol/redhat-docker-v2/auth'],
    ['registry.access.redhat.com', 'https://sso.redhat.com/auth/realms/rhcc/protocol/redhat-docker-v2/auth'],
    ['lscr.io', 'https://ghcr.io/token'],
    ['dhi.io', 'https://dhi.io/token'],
    ['cgr.dev', 'https://cgr.dev/token'],
    ['gcr.io', 'https://gcr.io/v2/token'],
    ['us-docker.pkg.dev', 'https://us-docker.pkg.dev/v2/token'],
    ['public.ecr.aws', 'https://public.ecr.aws/token/'],
    ['mcr.microsoft.com', 'https://mcr.microsoft.com/oauth2/token'],
    ['team.azurecr.io', 'https://team.azurecr.io/oauth2/token'],
    ['cp.icr.io', 'https://cp.icr.io/oauth/token'],
    ['fra.ocir.io', 'https://fra.ocir.io/20180419/docker/token'],
    ['container-registry.oracle.com', 'https://container-registry.oracle.com/auth'],
    ['swr.cn-north-4.myhuaweicloud.com', 'https://swr.cn-north-4.myhuaweicloud.com/swr/auth/v2/registry/auth/'],
    ['ccr.ccs.tencentyun.com', 'https://ccr.ccs.tencentyun.com/service/token'],
    ['team.tencentcloudcr.com', 'https://team.tencentcloudcr.com/service/token'],
    ['1.c1.gra9.container-registry.ovh.net', 'https://1.c1.gra9.container-registry.ovh.net/service/token'],
    ['registry.suse.com', 'https://registry.suse.com/auth'],
    ['docker.m.daocloud.io', 'https://auth.m.daocloud.io/auth/token'],
    ['registry.dev.example.com', 'https://sso.example.com/token'],
    ['registry.team-a.svc.cluster.local', 'https://harbor.team-a.svc.cluster.local/service/token'],
  ])('of %s may be %s', async (registry, realm) => {
    await expect(check(registry, realm)).resolves.toMatch(/^https:/);
  });

  it.each([
    ['ghcr.io', 'https://evil.example/token'],
    ['ghcr.io', 'https://ghcr.io.evil.example/token'],
    ['ghcr.io', 'https://evilghcr.io/token'],
    ['ghcr.io', 'http://ghcr.io:8080/token'],
    ['registry.example.com', 'http://gitlab.example.com/jwt/auth'],
    ['ghcr.io', 'https://me@ghcr.io/token'],
    ['ghcr.io', 'file:///etc/passwd'],
    ['example.co.uk', 'https://evil.co.uk/token'],
    ['a.azurecr.io', 'https://b.azurecr.io/token'],
    ['a.jfrog.io', 'https://b.jfrog.io/token'],
    ['1.ecr.us-east-1.amazonaws.com', 'https://evil.us-east-1.amazonaws.com/token'],
    ['1.dkr.ecr.eusc-de-east-1.amazonaws.eu', 'https://evil.eusc-de-east-1.amazonaws.eu/token'],
    ['1.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn', 'https://evil.cn-north-1.on.amazonwebservices.com.cn/token'],
    ['1.dkr.ecr.us-iso-east-1.c2s.ic.gov', 'https://evil.us-iso-east-1.c2s.ic.gov/token'],
    ['registry.internal', 'https://auth.internal/token'],
    ['10.0.0.5', 'https://10.0.0.6/token'],
    ['registry.example.com', 'https://169.254.169.254/token'],
    ['a.deno.dev', 'https://b.deno.dev/token'],
    ['a.firebaseapp.com', 'https://b.firebaseapp.com/token'],
    ['a.up.railway.app', 'https://b.up.railway.app/token'],
    ['a.surge.sh', 'https://b.surge.sh/token'],
    ['a.blob.core.windows.net', 'https://b.blob.core.windows.net/token'],
    ['a.eastus.azurecontainerapps.io', 'https://b.eastus.azurecontainerapps.io/token'],
    ['a.github.io', 'https://b.github.io/token'],
    ['1.2.3.4.nip.io', 'https://5.6.7.8.nip.io/token'],
    ['registry.cn-hangzhou.aliyuncs.com', 'https://dockerauth.oss-cn-hangzhou.aliyuncs.com/auth'],
    ['registry.cn-hangzhou.aliyuncs.com', 'https://evil.cn-hangzhou.fc.aliyuncs.com/auth'],
    ['evil.oss-cn-hangzhou.aliyuncs.com', 'https://dockerauth.cn-hangzhou.aliyuncs.com/auth'],
    ['rg.fr-par.scw.cloud', 'https://evil.functions.fnc.fr-par.scw.cloud/token'],
    ['a.tencentcloudcr.com', 'https://b.tencentcloudcr.com/token'],
    ['registry.team-a.svc.cluster.local', 'https://registry.team-b.svc.cluster.local/token'],
    ['registry', 'https://auth/token'],
  ])('of %s may not be %s', async (registry, realm) => {
    await expect(check(registry, realm)).rejects.toMatchObject({
      class: 'permanent',
      code: 'unsafe',
    });
  });

  it('is asked by https where it has the name of the registry, which ends TLS in front of it', async () => {
    await expect(check('ghcr.io', 'http://ghcr.io/token')).resolves.toBe('https://ghcr.io/token');
    await expect(check('r.example:5443', 'http://r.example/token?a=b')).resolves.toBe(
      'https://r.example:5443/token?a=b',
    );
  });

  it.each([
    ['lscr.io', 'https://ghcr.io/token'],
    ['docker.example.com', 'https://auth.docker.io/token'],
    ['a.jfrog.io', 'https://anything.example/token'],
  ])('of %s may be %s where there is no login to send', async (registry, realm) => {
    await expect(check(registry, realm, { hasLogin: false })).resolves.toBe(realm);
  });

  it('speak https without a login too, and the message does not speak of one', async () => {
    const refused = check('ghcr.io', 'http://other.example/token', { hasLogin: false });
    await expect(refused).rejects.toMatchObject({ code: 'unsafe', message: expect.not.stringContaining('login') });
    await expect(check('r.example', 'http://other.example/t', { hasLogin: false, insecure: true })).resolves.toMatch(
      /^http:/,
    );
  });

  it('may be on another port of this machine', async () => {
    await expect(check('127.0.0.1:5000', 'http://localhost:5001/token', { insecure: true })).resolves.toBe(
      'http://localhost:5001/token',
    );
  });

  it('may be any that the user allows, but over https', async () => {
    const allowedRealms = ['sso.corp.example'];
    await expect(check('ghcr.io', 'https://sso.corp.example:8443/t', { allowedRealms })).resolves.toBe(
      'https://sso.corp.example:8443/t',
    );
    await expect(check('ghcr.io', 'http://sso.corp.example/t', { allowedRealms })).rejects.toThrow(/not https/);
    await expect(check('ghcr.io', 'https://other.corp.example/t', { allowedRealms })).rejects.toThrow(
      /--allow-realm|not known/,
    );
  });

  it('tell the user which host was refused and how to allow it', async () => {
    await expect(check('ghcr.io', 'https://evil.example/token')).rejects.toMatchObject({
      message: expect.stringContaining('evil.example'),
      mend: expect.stringContaining('--allow-realm evil.example'),
    });
  });
});

describe('where a Location leads', () => {
  const base = new URL('https://93.184.216.34/');
  const from = new URL('/v2/a/blobs/uploads/', base);
  const resolve = async (location: string | undefined, allowedRealms: string[] = [], insecure = false) => {
    const client = createRegistryClient({ credentials: { lookup: async () => undefined }, allowedRealms });
    const repository = { registry: '93.184.216.34', repository: 'a' };
    const call: Call = { client, repository, operation: 'get blob', subject: 'a', access: 'pull' };
    return (await resolveLocation(call, { base, insecure } as Endpoint, from, location)).href;
  };

  it.each([
    ['/v2/a/blobs/uploads/1?_state=a%2Fb', 'https://93.184.216.34/v2/a/blobs/uploads/1?_state=a%2Fb'],
    ['https://store.example/b?X-Amz-Signature=%41', 'https://store.example/b?X-Amz-Signature=%41'],
    ['//store.example/b', 'https://store.example/b'],
    ['uploads/1', 'https://93.184.216.34/v2/a/blobs/uploads/uploads/1'],
    // A proxy ends TLS, and the registry does not know (distribution/distribution#996).
    ['http://93.184.216.34/v2/a?_state=a%2Fb', 'https://93.184.216.34/v2/a?_state=a%2Fb'],
  ])('%s may be followed', async (location, expected) => {
    expect(await resolve(location)).toBe(expected);
  });

  it.each([
    ['from https to http', 'http://store.example/b', 'unsafe'],
    ['from https to http at home, on another port', 'http://93.184.216.34:8080/v2/', 'unsafe'],
    ['into the network', 'https://10.0.0.1/', 'unsafe'],
    ['to this machine', 'https://[::1]/', 'unsafe'],
    ['with a login', 'https://me:pw@store.example/', 'unsafe'],
    ['to a file', 'file:///etc/passwd', 'protocol'],
    ['nowhere', undefined, 'protocol'],
  ])('it may not lead %s', async (_what, location, code) => {
    await expect(resolve(location)).rejects.toMatchObject({ class: 'permanent', code });
  });

  it('may be plain http elsewhere where the user has given up TLS, and nowhere inside the network', async () => {
    expect(await resolve('http://store.example/b', [], true)).toBe('http://store.example/b');
    await expect(resolve('http://10.0.0.1/b', [], true)).rejects.toMatchObject({ code: 'unsafe' });
    await expect(resolve('http://store.example/b')).rejects.toMatchObject({
      mend: expect.stringContaining('insecure: true'),
    });
  });

  it('may be inside the network where the user says so', async () => {
    expect(await resolve('https://10.0.0.1/b', ['10.0.0.1'])).toBe('https://10.0.0.1/b');
  });
});
