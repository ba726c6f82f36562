import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ECRClient } from '@aws-sdk/client-ecr';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Credentials } from '../../core/model/credentials.ts';
import { type TranshipError, toFailure } from '../../core/model/errors.ts';
import { createSecretCredentials } from '../../functions/aws/credentials.ts';
import { createEcrCredentials } from '../../functions/aws/ecr-credentials.ts';
import { createEcrRepository } from '../../functions/aws/ecr-repositories.ts';
import { emulatorIdentity } from '../support/dynamo.ts';
import { type JsonService, ServiceFault, startJsonService } from '../support/json-service.ts';
import { type SecretsManager, startSecretsManager } from '../support/secrets-manager.ts';

const start = 1_800_000_000_000;
let clock = start;
let waits: number[] = [];
const ownClock = {
  now: () => clock,
  async wait(ms: number) {
    waits.push(ms);
    clock += ms;
  },
};

beforeEach(() => {
  clock = start;
  waits = [];
});

describe('logins from Secrets Manager', () => {
  const quay = { registry: 'quay.io', repository: 'team/app' };
  let manager: SecretsManager;
  let client: SecretsManagerClient;
  let warnings: string[];

  beforeEach(async () => {
    manager = await startSecretsManager();
    client = new SecretsManagerClient({ ...emulatorIdentity, endpoint: manager.endpoint, maxAttempts: 1 });
    warnings = [];
  });

  afterEach(async () => {
    client.destroy();
    await manager.close();
  });

  function credentials(...secretIds: string[]): Credentials {
    return createSecretCredentials({ client, secretIds, warn: (message) => warnings.push(message), clock: ownClock });
  }

  async function put(id: string, logins: Record<string, object>): Promise<void> {
    await client.send(new PutSecretValueCommand({ SecretId: id, SecretString: JSON.stringify(logins) }));
  }

  async function failureOf(lookup: Promise<unknown>): Promise<string> {
    const error = await lookup.then(
      () => undefined,
      (thrown: TranshipError) => thrown,
    );
    if (!error) throw new Error('the lookup did not fail');
    return `${error.class} ${error.code} ${JSON.stringify(toFailure(error))} ${error.stack} ${String(error.cause)}`;
  }

  it('are found by the longest name, over all secrets, the later of two first', async () => {
    await put('one', { 'quay.io': { username: 'all', password: '1' }, 'ghcr.io': { username: 'old', password: '2' } });
    await put('two', {
      'quay.io/team': { username: 'team', password: '3' },
      'ghcr.io': { username: 'new', password: '4' },
    });
    await put('three', {
      'docker.io': { username: 'hub', password: '5' },
      'index.docker.io': { username: 'x', password: '6' },
    });
    const logins = credentials('one', 'two', 'three');
    expect(await logins.lookup(quay)).toEqual({ username: 'team', password: '3' });
    expect(await logins.lookup({ ...quay, repository: 'teams/app' })).toEqual({ username: 'all', password: '1' });
    expect(await logins.lookup({ ...quay, registry: 'ghcr.io' })).toEqual({ username: 'new', password: '4' });
    expect(await logins.lookup({ ...quay, registry: 'docker.io' })).toEqual({ username: 'hub', password: '5' });
    expect(await logins.lookup({ ...quay, registry: 'gcr.io' })).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(/^secret three:.*docker\.io/)]);
  });

  it('are read once for many callers, and again after five minutes', async () => {
    await put('auth', { 'quay.io': { username: 'a', password: 'old' } });
    const logins = credentials('auth');
    manager.requests.length = 0;
    await Promise.all(Array.from({ length: 20 }, () => logins.lookup(quay)));
    clock += 299_999;
    await logins.lookup(quay);
    expect(manager.requests).toEqual(['GetSecretValue']);
    await put('auth', { 'quay.io': { username: 'a', password: 'new' } });
    expect((await logins.lookup(quay))?.password).toBe('old');
    clock += 1;
    expect((await logins.lookup(quay))?.password).toBe('new');
  });

  it('are read again when a registry refuses them, at most every three seconds, and waited for', async () => {
    await put('auth', { 'quay.io': { username: 'a', password: 'old' } });
    const logins = credentials('auth');
    await logins.lookup(quay);
    await put('auth', { 'quay.io': { username: 'a', password: 'new' } });
    // Two requests with the old password are refused at once, and a third one a little later.
    manager.requests.length = 0;
    const both = await Promise.all([0, 1].map(() => logins.lookup(quay, { fresh: true })));
    expect(both.map((entry) => entry?.password)).toEqual(['new', 'new']);
    expect(waits).toEqual([3000]);
    expect(manager.requests).toEqual(['GetSecretValue']);
    await put('auth', { 'quay.io': { username: 'a', password: 'newest' } });
    clock += 2000;
    expect((await logins.lookup(quay, { fresh: true }))?.password).toBe('newest');
    expect(waits).toEqual([3000, 1000]);
  });

  it('are not given from before to who needs fresh ones, while Secrets Manager fails', async () => {
    await put('auth', { 'quay.io': { username: 'a', password: 'old' } });
    const logins = credentials('auth');
    await logins.lookup(quay);
    manager.fault = new ServiceFault('InternalServiceError', 500);
    expect(await failureOf(logins.lookup(quay, { fresh: true }))).toMatch(/^transient server-error/);
    expect((await logins.lookup(quay))?.password).toBe('old');
    manager.fault = undefined;
  });

  it('outlast a failure of Secrets Manager, but not the loss of the secret', async () => {
    await put('auth', { 'quay.io': { username: 'a', password: 'kept' } });
    const logins = credentials('auth');
    await logins.lookup(quay);
    clock += 300_000;
    manager.fault = new ServiceFault('InternalServiceError', 500);
    expect((await logins.lookup(quay))?.password).toBe('kept');
    expect(await failureOf(credentials('auth').lookup(quay))).toMatch(/^transient server-error/);
    manager.fault = undefined;
    manager.secrets.delete('auth');
    clock += 10_000;
    expect(await failureOf(logins.lookup(quay))).toMatch(/^configuration not-found .*read secret auth/);
  });

  it('do not come into an error where the answer of Secrets Manager is cut off', async () => {
    const server = createServer((_, response) => response.end('{"SecretString": hunter2'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const cutOff = new SecretsManagerClient({ ...emulatorIdentity, endpoint, maxAttempts: 1 });
    const logins = createSecretCredentials({ client: cutOff, secretIds: ['auth'], warn: () => {} });
    const failure = await failureOf(logins.lookup(quay));
    expect(failure).toMatch(/^transient protocol/);
    expect(failure).not.toContain('hunter2');
    cutOff.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  it('that cannot be read name the secret and nothing in it', async () => {
    const texts = [
      '{"quay.io": {"username": "a", "password": "hunter2"',
      '"hunter2"',
      'quay.io: hunter2',
      'quay.io: {username: a, password: [hunter2]}',
      'quay.io: {username: a, pass: hunter2}',
      'quay.io: {username: a, password: hunter2$NOT_SET}',
      'quay.io: {username: a, password: b, ca: /etc/hunter2.pem}',
      'quay.io: {username: &x hunter2, password: *y}',
      '\u0000hunter2',
    ];
    for (const text of texts) {
      manager.secrets.set('auth', text);
      const failure = await failureOf(credentials('auth').lookup(quay));
      expect(failure).toMatch(/^configuration config-invalid .*secret auth/);
      expect(failure).not.toContain('hunter2');
    }
  });
});

describe('logins to ECR by role', () => {
  const registry = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
  const app = { registry, repository: 'team/app' };
  let service: JsonService;
  let clients: Map<string, ECRClient>;
  let issued: number;
  let created: unknown[];

  beforeEach(async () => {
    clients = new Map();
    issued = 0;
    created = [];
    service = await startJsonService({
      GetAuthorizationToken() {
        issued += 1;
        const authorizationToken = Buffer.from(`AWS:token-${issued}:x`).toString('base64');
        return { authorizationData: [{ authorizationToken, expiresAt: (clock + 12 * 3600_000) / 1000 }] };
      },
      CreateRepository(input) {
        if (input.repositoryName === 'there') throw new ServiceFault('RepositoryAlreadyExistsException', 400);
        if (input.repositoryName === 'forbidden') throw new ServiceFault('AccessDeniedException', 400);
        created.push(input);
        return { repository: {} };
      },
    });
  });

  afterEach(async () => {
    for (const client of clients.values()) client.destroy();
    await service.close();
  });

  function clientFor(region: string): ECRClient {
    const client = clients.get(region) ?? new ECRClient({ ...emulatorIdentity, region, endpoint: service.endpoint });
    clients.set(region, client);
    return client;
  }

  function credentials(configured: Credentials = { lookup: async () => undefined }): Credentials {
    return createEcrCredentials({ configured, clientFor, clock: ownClock });
  }

  it('are one for a region, renewed half an hour before their end and when refused', async () => {
    const logins = credentials();
    const first = { username: 'AWS', password: 'token-1:x' };
    const all = await Promise.all([app, { ...app, repository: 'other' }].map((each) => logins.lookup(each)));
    expect(all).toEqual([first, first]);
    const otherAccount = { ...app, registry: '000000000001.dkr.ecr.eu-west-1.amazonaws.com' };
    expect(await logins.lookup(otherAccount)).toEqual(first);
    clock += 11.5 * 3600_000 - 1;
    expect(await logins.lookup(app)).toEqual(first);
    clock += 1;
    expect((await logins.lookup(app))?.password).toBe('token-2:x');
    clock += 10_000;
    expect((await logins.lookup(app, { fresh: true }))?.password).toBe('token-3:x');
    await logins.lookup({ ...app, registry: '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn' });
    expect([...clients.keys()]).toEqual(['eu-west-1', 'cn-north-1']);
  });

  it('are given to hosts of private ECR only, and never over unchecked connections', async () => {
    const logins = credentials({ lookup: async () => ({ insecure: true }) });
    expect(await logins.lookup(app)).toEqual({ username: 'AWS', password: 'token-1:x' });
    const others = [
      'docker.io',
      'public.ecr.aws',
      `${registry}.evil.test`,
      `evil.${registry}`,
      `${registry}:8443`,
      `${registry}.cn`,
      '123456789012.dkr.ecr.cn-north-1.amazonaws.com',
      '12345.dkr.ecr.eu-west-1.amazonaws.com',
      '123456789012.dkr.ecr.evil.test.amazonaws.com',
    ];
    for (const other of others) {
      expect(await logins.lookup({ ...app, registry: other })).toEqual({ insecure: true });
    }
  });

  it('leave a configured login alone', async () => {
    const configured = { username: 'AWS', password: 'mine' };
    expect(await credentials({ lookup: async () => configured }).lookup(app)).toEqual(configured);
    expect(service.requests).toEqual([]);
  });

  it('make a repository where it is missing', async () => {
    expect(await createEcrRepository(clientFor, app)).toBe(true);
    expect(created).toEqual([{ registryId: '123456789012', repositoryName: 'team/app' }]);
    expect(await createEcrRepository(clientFor, { ...app, repository: 'there' })).toBe(true);
    expect(await createEcrRepository(clientFor, { ...app, registry: 'quay.io' })).toBe(false);
    const forbidden = createEcrRepository(clientFor, { ...app, repository: 'forbidden' });
    await expect(forbidden).rejects.toMatchObject({ class: 'permanent', code: 'denied' });
  });
});
