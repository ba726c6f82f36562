import { describe, expect, it } from 'vitest';
import { parseDockerConfig, storedAuth } from '../../../machine/credentials/docker-config.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

function stored(auths: unknown, key: string) {
  return storedAuth(parseDockerConfig('config.json', JSON.stringify({ auths })), key);
}

describe("logins in Docker's config file", () => {
  it.each([
    [{ auth: base64('user:pa:ss') }, { username: 'user', password: 'pa:ss' }],
    [{ auth: base64('user:pass\0\0') }, { username: 'user', password: 'pass' }],
    [{ auth: base64('user:pass\r\n') }, { username: 'user', password: 'pass' }],
    [
      { username: 'user', password: 'pass' },
      { username: 'user', password: 'pass' },
    ],
    [
      { auth: base64('<token>:'), identitytoken: 't' },
      { username: '<token>', identityToken: 't' },
    ],
    [{ registrytoken: 'r' }, { registryToken: 'r' }],
    [{}, undefined],
    [{ auth: '' }, undefined],
    [{ auth: base64('user:') }, undefined],
    [null, undefined],
    ['text', undefined],
    [{ username: 5, password: {} }, undefined],
  ])('%j', (entry, expected) => {
    expect(stored({ 'a.io': entry }, 'a.io')).toEqual(expected);
  });

  it('knows Docker Hub and others by all names', () => {
    const auth = base64('u:p');
    for (const name of ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io']) {
      expect(stored({ [name]: { auth } }, 'docker.io')?.username).toBe('u');
    }
    expect(stored({ 'https://a.io/v2/': { auth } }, 'a.io')?.username).toBe('u');
    expect(stored({ 'a.io/team/app': { auth } }, 'a.io/team/app')?.username).toBe('u');
    expect(stored({ 'https://index.docker.io/v1/': {}, 'docker.io': { auth } }, 'docker.io')?.username).toBe('u');
  });

  it('ignores entries that are no registries, and fails for a broken one only when it is asked for', () => {
    const auths = { '': { auth: 'x' }, 'a b': 5, 'a.io': { auth: '%%%' }, 'b.io': { auth: base64('u:p') } };
    expect(stored(auths, 'b.io')?.username).toBe('u');
    expect(() => stored(auths, 'a.io')).toThrow(/^config\.json: "auth" of a\.io is not the base64/);
  });

  it.each(['nul', '[]', '"x"', '{"auths": {"a.io": {"auth": "hunter2"', '{hunter2'])('refuses %j', (text) => {
    expect(() => parseDockerConfig('config.json', text)).toThrow(/^config\.json is not a JSON object/);
    try {
      parseDockerConfig('config.json', text);
    } catch (error) {
      expect(`${(error as Error).stack} ${String((error as Error).cause)}`).not.toContain('hunter2');
    }
  });

  it('reads helpers and the store', () => {
    const config = parseDockerConfig(
      'config.json',
      '\uFEFF{"credsStore": "desktop", "credHelpers": {"https://index.docker.io/v1/": "hub", "a.io": "ecr-login", "b.io": 5, "c.io": ""}}',
    );
    expect(config.store).toBe('desktop');
    expect(Object.fromEntries(config.helpers)).toEqual({ 'docker.io': 'hub', 'a.io': 'ecr-login' });
    expect(parseDockerConfig('config.json', '{"credsStore": ""}').store).toBeUndefined();
  });
});
