import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jwtVerify, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadAuth } from '../../core/config/auth-file.ts';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { bareTrust } from '../../core/registry/wire/trust.ts';
import { openEcrImages } from '../../machine/logins/ecr-images.ts';
import { createHttp, type HttpRequest } from '../../machine/logins/http.ts';
import { providerCredentials } from '../../machine/logins/provider-credentials.ts';
import { ServiceFault, startJsonService } from '../support/json-service.ts';

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tranship-logins-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function write(name: string, content: unknown): string {
  const path = join(directory, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

type Answer = { status?: number; body: unknown };

/** Logins of one entry, got from token services that answer as `serve` says; `asked` has what came to them. */
function loginsOf(
  entry: AuthEntry,
  serve: (request: HttpRequest) => Answer | 'not there' | Promise<Answer>,
  env: Record<string, string> = {},
) {
  const asked: HttpRequest[] = [];
  const clock = { now: NOW };
  const credentials = providerCredentials(
    { lookup: async () => entry },
    {
      env,
      homeDir: directory,
      now: () => clock.now,
      async http(request) {
        asked.push(request);
        const answer = await serve(request);
        if (answer === 'not there') throw new Error('connect EHOSTUNREACH');
        return { status: answer.status ?? 200, body: JSON.stringify(answer.body) };
      },
    },
  );
  return {
    asked,
    clock,
    lookup: (registry: string, fresh = false) => credentials.lookup({ registry, repository: 'app' }, { fresh }),
  };
}

describe('a login to Google', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const account = {
    type: 'service_account',
    client_email: 'mirror@team.iam.gserviceaccount.com',
    private_key_id: 'k1',
  };

  it('is exchanged for an assertion that the key file signs, and renewed before it expires', async () => {
    const keyFile = write('key.json', { ...account, private_key: pem, token_uri: 'https://evil.example/token' });
    const logins = loginsOf({ provider: 'google', keyFile, ca: 'PEM' }, async ({ url, form = {} }) => {
      expect([url, form.grant_type]).toEqual([
        'https://oauth2.googleapis.com/token',
        'urn:ietf:params:oauth:grant-type:jwt-bearer',
      ]);
      const options = { audience: url, issuer: account.client_email, currentDate: new Date(logins.clock.now + 1000) };
      const { payload, protectedHeader } = await jwtVerify(form.assertion ?? '', publicKey, options);
      expect(payload.scope).toBe('https://www.googleapis.com/auth/cloud-platform');
      expect(protectedHeader.kid).toBe('k1');
      return { body: { access_token: `ya29.${logins.asked.length}`, expires_in: 3599, token_type: 'Bearer' } };
    });
    const first = await logins.lookup('europe-docker.pkg.dev');
    expect(first).toMatchObject({ username: 'oauth2accesstoken', password: 'ya29.1', ca: 'PEM' });
    logins.clock.now = NOW + HOUR - 6 * 60_000;
    expect(await logins.lookup('gcr.io')).toEqual(first);
    logins.clock.now = NOW + HOUR - 5 * 60_000;
    expect(await logins.lookup('gcr.io')).toMatchObject({ password: 'ya29.2' });
  });

  it('is got by the login of gcloud, or by the machine at Google', async () => {
    const token = { body: { access_token: 'ya29.token', expires_in: 3599 } };
    const machine = loginsOf({ provider: 'google' }, ({ isLocal }) => (isLocal ? token : { status: 500, body: {} }));
    expect(await machine.lookup('gcr.io')).toMatchObject({ password: 'ya29.token' });
    expect(machine.asked).toEqual([
      {
        url: 'http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token',
        headers: { 'metadata-flavor': 'Google' },
        isLocal: true,
      },
    ]);
    const path = write('user.json', {
      type: 'authorized_user',
      client_id: 'c',
      client_secret: 's',
      refresh_token: 'r',
    });
    const user = loginsOf({ provider: 'google' }, () => token, { GOOGLE_APPLICATION_CREDENTIALS: path });
    expect(await user.lookup('gcr.io')).toMatchObject({ username: 'oauth2accesstoken', password: 'ya29.token' });
    expect(user.asked[0]?.form).toEqual({
      grant_type: 'refresh_token',
      client_id: 'c',
      client_secret: 's',
      refresh_token: 'r',
    });
  });

  it.each([
    ['a key file that is not there', { keyFile: '/nowhere.json' }, '/nowhere.json cannot be read (ENOENT)'],
    ['a key file that is no JSON', { content: 'x' }, 'is not JSON'],
    [
      'a key of another kind',
      { content: { type: 'external_account' } },
      'is of type external_account, which cannot be used',
    ],
    ['a key that is none', { content: { ...account, private_key: 'x' } }, 'cannot be read'],
    ['no key, and no machine at Google', {}, 'there is no key file, and this is no machine at Google'],
  ])(
    'is not there for %s, which says what to do',
    async (_what, { keyFile, content }: { keyFile?: string; content?: unknown }, message) => {
      const path = content === undefined ? keyFile : write('odd.json', content);
      const logins = loginsOf({ provider: 'google', keyFile: path }, () => 'not there');
      const refusal = {
        class: 'configuration',
        message: expect.stringContaining(message),
        mend: expect.stringContaining('keyFile'),
      };
      await expect(logins.lookup('gcr.io')).rejects.toMatchObject(refusal);
      // Not for each tag anew.
      await expect(logins.lookup('gcr.io', true)).rejects.toMatchObject(refusal);
      expect(logins.asked.length).toBeLessThanOrEqual(1);
    },
  );

  it('that is refused shows why, and no secret', async () => {
    const path = write('user.json', {
      type: 'authorized_user',
      client_id: 'c',
      client_secret: 's3cret',
      refresh_token: '1//refresh',
    });
    const body = { error: 'invalid_grant', error_description: 'Bad 1//refresh' };
    const logins = loginsOf({ provider: 'google', keyFile: path }, () => ({ status: 400, body }));
    const error: Error = await logins.lookup('gcr.io').then(
      () => expect.unreachable(),
      (thrown) => thrown,
    );
    expect(error).toMatchObject({
      class: 'permanent',
      code: 'unauthorized',
      mend: 'run: gcloud auth application-default login',
    });
    expect(error.message).toContain('oauth2.googleapis.com answers status 400 (invalid_grant: Bad');
    expect(error.message).not.toContain('refresh');
  });

  it.each([
    [
      { status: 503, body: {} },
      { class: 'transient', code: 'server-error' },
    ],
    [
      { body: { id_token: 'secret' } },
      { class: 'transient', code: 'protocol', message: expect.not.stringContaining('secret') },
    ],
  ])('that does not come for the moment is tried again', async (answer, failure) => {
    const logins = loginsOf({ provider: 'google' }, () => answer);
    await expect(logins.lookup('gcr.io')).rejects.toMatchObject(failure);
  });
});

describe('a login to Azure', () => {
  const registry = 'team.azurecr.io';
  const refresh = (exp: number) => new UnsecuredJWT({ exp }).encode();
  const exchange = (request: HttpRequest, answer: Answer): Answer =>
    request.url === `https://${registry}/oauth2/exchange`
      ? { body: { refresh_token: refresh(NOW / 1000 + 3 * 3600) } }
      : answer;

  it.each<[string, Record<string, string>, AuthEntry, HttpRequest]>([
    [
      'the secret of a service principal',
      { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c', AZURE_CLIENT_SECRET: 's' },
      {},
      {
        url: 'https://login.microsoftonline.com/t/oauth2/v2.0/token',
        form: {
          grant_type: 'client_credentials',
          client_id: 'c',
          scope: 'https://containerregistry.azure.net/.default',
          client_secret: 's',
        },
      },
    ],
    [
      'an identity endpoint',
      { IDENTITY_ENDPOINT: 'http://localhost:42356/msi/token', IDENTITY_HEADER: 'h' },
      { clientId: 'mine' },
      {
        url: 'http://localhost:42356/msi/token?resource=https%3A%2F%2Fcontainerregistry.azure.net&client_id=mine&api-version=2019-08-01',
        headers: { 'x-identity-header': 'h' },
        isLocal: true,
      },
    ],
    [
      'the metadata server of a machine',
      {},
      {},
      {
        url: 'http://169.254.169.254/metadata/identity/oauth2/token?resource=https%3A%2F%2Fcontainerregistry.azure.net&api-version=2018-02-01',
        headers: { metadata: 'true' },
        isLocal: true,
      },
    ],
  ])('is exchanged at the registry for a token by %s', async (_what, env, entry, first) => {
    const logins = loginsOf(
      { ...entry, provider: 'azure' },
      (request) => exchange(request, { body: { access_token: 'aad' } }),
      env,
    );
    expect(await logins.lookup(registry)).toMatchObject({ identityToken: refresh(NOW / 1000 + 3 * 3600) });
    const form = { grant_type: 'access_token', service: registry, access_token: 'aad' };
    const tenant = env.AZURE_TENANT_ID === undefined ? {} : { tenant: env.AZURE_TENANT_ID };
    expect(logins.asked).toEqual([first, { url: `https://${registry}/oauth2/exchange`, form: { ...form, ...tenant } }]);
    logins.clock.now = NOW + 2.5 * HOUR;
    await logins.lookup(registry);
    expect(logins.asked).toHaveLength(2);
    logins.clock.now = NOW + 2.95 * HOUR;
    await logins.lookup(registry);
    expect(logins.asked).toHaveLength(4);
  });

  it('is got by the federated token of a workload', async () => {
    const file = write('federated', 'jwt\n');
    const env = { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c', AZURE_FEDERATED_TOKEN_FILE: file };
    const logins = loginsOf(
      { provider: 'azure' },
      (request) => exchange(request, { body: { access_token: 'aad' } }),
      env,
    );
    await logins.lookup(registry);
    expect(logins.asked[0]?.form).toMatchObject({
      client_assertion: 'jwt',
      client_assertion_type: expect.stringContaining('jwt-bearer'),
    });
  });

  it('is not there without an identity, which says what to do', async () => {
    const logins = loginsOf({ provider: 'azure' }, () => 'not there');
    await expect(logins.lookup(registry)).rejects.toMatchObject({
      class: 'configuration',
      message: expect.stringContaining('no identity is set, and this is no machine at Azure'),
      mend: expect.stringContaining('AZURE_CLIENT_ID'),
    });
  });
});

describe('a login to Amazon ECR', () => {
  const registry = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';

  it("is got by the user's AWS credentials, one for a region; and so are the digests of tags", async () => {
    const asked: string[] = [];
    const ecr = await startJsonService({
      GetAuthorizationToken() {
        asked.push('token');
        const authorizationToken = Buffer.from('AWS:ecr-password').toString('base64');
        return { authorizationData: [{ authorizationToken, expiresAt: NOW / 1000 + 12 * 3600 }] };
      },
      ListImages: () => ({ imageIds: [{ imageTag: 'v1', imageDigest: `sha256:${'a'.repeat(64)}` }] }),
    });
    onTestFinished(() => ecr.close());
    const env = { AWS_ENDPOINT_URL_ECR: ecr.endpoint, AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret' };
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    onTestFinished(() => void vi.unstubAllEnvs());
    const entry: AuthEntry = { provider: 'ecr' };
    const logins = loginsOf(entry, () => 'not there');
    expect(await logins.lookup(registry)).toMatchObject({ username: 'AWS', password: 'ecr-password' });
    logins.clock.now = NOW + 11 * HOUR;
    await logins.lookup(registry.replace('123', '999'));
    expect(asked).toHaveLength(1);
    logins.clock.now = NOW + 11.5 * HOUR;
    await logins.lookup(registry);
    expect(asked).toHaveLength(2);
    const images = openEcrImages({ lookup: async () => entry });
    const repository = { registry, repository: 'app' };
    expect(await images.takes(repository)).toBe(true);
    expect(await images.read(repository, undefined, undefined)).toMatchObject({
      digests: [['v1', `sha256:${'a'.repeat(64)}`]],
    });
    expect(await openEcrImages({ lookup: async () => ({ username: 'AWS' }) }).takes(repository)).toBe(false);
  });

  it('to ECR Public is got by its own API', async () => {
    const authorizationToken = Buffer.from('AWS:public-password').toString('base64');
    const ecrPublic = await startJsonService({
      GetAuthorizationToken: () => ({ authorizationData: { authorizationToken, expiresAt: NOW / 1000 + 12 * 3600 } }),
    });
    onTestFinished(() => ecrPublic.close());
    vi.stubEnv('AWS_ENDPOINT_URL_ECR_PUBLIC', ecrPublic.endpoint);
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    onTestFinished(() => void vi.unstubAllEnvs());
    const logins = loginsOf({ provider: 'ecr' }, () => 'not there');
    expect(await logins.lookup('public.ecr.aws')).toMatchObject({ username: 'AWS', password: 'public-password' });
    const images = openEcrImages({ lookup: async () => ({ provider: 'ecr' }) });
    expect(await images.takes({ registry: 'public.ecr.aws', repository: 'team/app' })).toBe(false);
    expect(loadAuth('public.ecr.aws/team: { provider: ecr }\n', { file: 'auth.yaml', env: {} }).entries.size).toBe(1);
  });

  it('is not there where AWS has no credentials, or may not', async () => {
    const region = 'eu-west-2';
    const other = registry.replace('eu-west-1', region);
    const ecr = await startJsonService({
      GetAuthorizationToken() {
        throw new ServiceFault('AccessDeniedException', 400);
      },
    });
    onTestFinished(() => ecr.close());
    vi.stubEnv('AWS_ENDPOINT_URL_ECR', ecr.endpoint);
    vi.stubEnv(
      'AWS_CONFIG_FILE',
      write('config', `[profile mirror]\naws_access_key_id = key\naws_secret_access_key = secret\n`),
    );
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
    onTestFinished(() => void vi.unstubAllEnvs());
    await expect(
      loginsOf({ provider: 'ecr', profile: 'mirror' }, () => 'not there').lookup(other),
    ).rejects.toMatchObject({
      class: 'permanent',
      code: 'denied',
      mend: expect.stringContaining('ecr:GetAuthorizationToken'),
    });
    await expect(
      loginsOf({ provider: 'ecr', profile: 'other' }, () => 'not there').lookup(other),
    ).rejects.toMatchObject({
      class: 'configuration',
      message: expect.stringContaining('the AWS profile other gives none'),
      mend: expect.stringContaining('AWS_PROFILE'),
    });
  });
});

it('other logins stay as they are', async () => {
  const entry = { username: 'u', password: 'p', insecure: true };
  expect(await loginsOf(entry, () => 'not there').lookup('r.io')).toBe(entry);
});

it('requests to token services are forms or questions, bounded, and follow no redirect', async () => {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url === '/long') return void response.end('x'.repeat(2 * 1024 * 1024));
    if (request.url === '/away') return void response.writeHead(302, { location: '/' }).end();
    response.end(`${request.method} ${request.headers['content-type'] ?? ''} ${Buffer.concat(chunks)}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const http = createHttp({ env: {}, trust: bareTrust, userAgent: 'test' });
  expect(await http({ url, form: { a: '1 2' } })).toMatchObject({
    status: 200,
    body: 'POST application/x-www-form-urlencoded a=1+2',
  });
  expect(await http({ url, isLocal: true })).toMatchObject({ body: 'GET  ' });
  expect(await http({ url: `${url}/away` })).toMatchObject({ status: 302 });
  await expect(http({ url: `${url}/long` })).rejects.toThrow('too long');
});
