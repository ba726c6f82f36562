import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage, pushMultiArch } from '../../testing/images.ts';
import type { AccessOptions } from '../../testing/registry/access.ts';
import { startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { type Distribution, password, startDistribution, testAuthority, username } from '../support/distribution.ts';
import { startFaultyRegistry } from '../support/faulty-registry.ts';
import { inspectDigest, toolsReady } from '../support/tools.ts';

describe.skipIf(!toolsReady('docker-registry', 'skopeo'))('copies between registries that ask for logins', () => {
  let htpasswd: Distribution;
  let tokens: Distribution;
  let secure: Distribution;
  let place: Workplace;
  const login = { username, password };
  const creds = ['--creds', `${username}:${password}`];

  beforeAll(async () => {
    [htpasswd, tokens, secure] = await Promise.all([
      startDistribution({ auth: 'htpasswd' }),
      startDistribution({ auth: 'token' }),
      startDistribution({ auth: 'htpasswd', tls: true }),
    ]);
    place = openWorkplace();
    place.write('ca.pem', testAuthority);
    place.write(
      'auth.json',
      JSON.stringify({
        [htpasswd.host]: { ...login, insecure: true },
        [tokens.host]: { ...login, insecure: true },
        [secure.host]: { ...login, ca: 'ca.pem' },
      }),
    );
    const at = { url: htpasswd.url, repository: 'team/app', ...login };
    await pushMultiArch(at, { seed: 'logins', tag: 'multi', platforms: ['linux/amd64', 'linux/arm64'] });
    await pushImage(at, { seed: 'logins', tag: 'plain', format: 'docker' });
  });
  afterAll(async () => {
    place.remove();
    await Promise.all([htpasswd, tokens, secure].map((registry) => registry.close()));
  });

  async function sync(rules: Record<string, string>, flags: string[] = []) {
    place.write('images.json', JSON.stringify(rules));
    const ended = await place.run(['sync', '--auth', 'auth.json', '--images', 'images.json', '--json', ...flags]);
    return { ...ended, run: jsonLines(ended.stdout).at(-1) };
  }

  it('goes from a password to tokens, on to TLS with an own authority, and back', async () => {
    const path: Array<[Distribution, string]> = [
      [htpasswd, 'team/app'],
      [tokens, 'by/token'],
      [secure, 'by/tls'],
      [htpasswd, 'back/app'],
    ];
    for (const [index, [to, name]] of path.entries()) {
      const [from, source] = path[index - 1] ?? [];
      if (from === undefined) continue;
      const ended = await sync({ [`${from.host}/${source}`]: `${to.host}/${name}` });
      expect(ended).toMatchObject({ code: 0, run: { copied: 2, failed: 0 } });
      expect(ended.stdout + ended.stderr).not.toContain(password);
    }
    for (const tag of ['multi', 'plain']) {
      const original = await inspectDigest(`${htpasswd.host}/team/app:${tag}`, [...creds, '--tls-verify=false']);
      for (const [registry, name] of path.slice(1)) {
        const there = await inspectDigest(`${registry.host}/${name}:${tag}`, [...creds, '--tls-verify=false']);
        expect(there.digest).toBe(original.digest);
        expect(there.bytes.equals(original.bytes)).toBe(true);
      }
    }
  });

  it('mounts from another repository, which takes a token for both', async () => {
    const at = { url: tokens.url, repository: 'mount/from', ...login };
    await pushImage(at, { seed: 'mounted', tag: 'v1', layers: [{ seed: 'mounted', bytes: 200_000 }] });
    const { code, run } = await sync({ [`${tokens.host}/mount/from`]: `${tokens.host}/mount/to` });
    expect(code).toBe(0);
    expect(run).toMatchObject({ copied: 1, bytes: 0 });
  });

  it('refuses a certificate that it does not know, and a password that is wrong, for good', async () => {
    place.write(
      'auth.json',
      JSON.stringify({
        [htpasswd.host]: { username, password: 'wrong', insecure: true },
        [secure.host]: login,
      }),
    );
    const { code, stdout, stderr } = await sync({
      [`${htpasswd.host}/team/app:plain`]: `${tokens.host}/wrong/app`,
      [`${secure.host}/by/tls:plain`]: `${htpasswd.host}/wrong/app`,
    });
    expect(code).toBe(1);
    const failed = jsonLines(stdout).filter((line) => line.type === 'outcome');
    expect(failed.map((line) => (line.failure as { class: string }).class)).toEqual(['permanent', 'permanent']);
    expect(stdout).toMatch(/certificate/i);
    expect(jsonLines(stdout).filter((line) => line.type === 'retry')).toEqual([]);
    expect(stdout + stderr).not.toContain(password);
  });
});

// CNCF distribution takes a token for a minute after its end; this one does not.
it('gets a new token where one ends while a layer is on its way', async () => {
  const access: AccessOptions = { kind: 'token', users: [{ username, password }], ttlSeconds: 1 };
  const [source, destination] = await Promise.all([startRegistry({ access }), startRegistry({ access })]);
  const slow = await startFaultyRegistry({ upstream: source.url });
  const place = openWorkplace();
  try {
    const at = { url: source.url, repository: 'team/app', username, password };
    const { layers } = await pushImage(at, { seed: 'slow', tag: 'v1', layers: [{ seed: 'slow', bytes: 30_000 }] });
    const when = { method: 'GET', path: new RegExp(`${layers[0]?.digest}`) };
    slow.setFaults([{ when, effect: { kind: 'drip', bytes: 2000, everyMs: 100 } }]);
    source.requests.length = 0;
    const login = { username, password, insecure: true };
    place.write('auth.json', JSON.stringify({ [slow.host]: login, [destination.host]: login }));
    place.write('images.json', JSON.stringify({ [`${slow.host}/team/app`]: `${destination.host}/team/app` }));
    const { code } = await place.run(['sync', '--retries', '0']);
    expect(code).toBe(0);
    expect(destination.content.tags('team/app')).toEqual(['v1']);
    // One for the tag list and the first requests, another where the upload was to end.
    const refused = destination.requests.filter(({ operation, status }) => operation !== 'token' && status === 401);
    expect(destination.count('token')).toBeGreaterThan(1);
    expect(refused.length).toBeLessThan(6);
    const uploaded = destination.requests.filter(
      ({ operation, status }) => [operation, status].join() === 'finish upload,201',
    );
    expect(uploaded).toHaveLength(2);
  } finally {
    place.remove();
    await Promise.all([slow, source, destination].map((registry) => registry.close()));
  }
});
