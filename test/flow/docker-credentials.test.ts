import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import { parseRepository } from '../../core/model/reference.ts';
import { dockerCredentials } from '../../machine/credentials/docker-credentials.ts';
import { endHelpers } from '../../machine/credentials/docker-helper.ts';
import { readPemFiles } from '../../machine/credentials/pem-files.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

let home: string;
let env: Record<string, string>;
let warnings: string[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tranship-docker-'));
  env = { PATH: `${join(home, 'bin')}:${process.env.PATH}`, CALLS: join(home, 'calls') };
  warnings = [];
  await mkdir(join(home, 'bin'));
  await mkdir(join(home, '.docker'));
});

afterEach(async () => {
  vi.useRealTimers();
  await rm(home, { recursive: true, force: true });
});

/** A `docker-credential-<name>` that notes what it is asked and then runs these lines of shell. */
async function helper(name: string, ...lines: string[]): Promise<void> {
  const file = join(home, 'bin', `docker-credential-${name}`);
  await writeFile(file, ['#!/bin/sh', 'read server', `echo "${name} $1 $server" >> "$CALLS"`, ...lines].join('\n'));
  await chmod(file, 0o755);
}

async function calls(): Promise<string[]> {
  const text = await readFile(env.CALLS ?? '', 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean);
}

function config(value: unknown, directory = join(home, '.docker'), name = 'config.json'): Promise<void> {
  return writeFile(join(directory, name), JSON.stringify(value));
}

function credentials(options: { cacheMs?: number; helperTimeoutMs?: number } = {}) {
  const store = dockerCredentials({ env, homeDir: home, ...options });
  const warn = (message: string) => void warnings.push(message);
  return (repository: string, fresh = false) => store.lookup(parseRepository(repository), { fresh, warn });
}

async function refusal(lookup: Promise<unknown>): Promise<TranshipError> {
  const error = await lookup.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof TranshipError) return error;
  throw new Error(`not refused as it should be: ${error}`);
}

describe('where logins are looked for', () => {
  it('is anonymous without any file', async () => {
    expect(await credentials()('a.io/x')).toBeUndefined();
  });

  it('reads ~/.docker, or DOCKER_CONFIG instead', async () => {
    await config({ auths: { 'a.io': { auth: base64('home:p') } } });
    expect(await credentials()('a.io/x')).toEqual({ username: 'home', password: 'p' });
    const other = join(home, 'other');
    await mkdir(other);
    await config({ auths: { 'a.io': { auth: base64('other:p') } } }, other);
    env.DOCKER_CONFIG = other;
    expect(await credentials()('a.io/x')).toEqual({ username: 'other', password: 'p' });
  });

  it("falls back to podman's file for what Docker's does not have", async () => {
    await config({ auths: { 'a.io': { auth: base64('docker:p') } } });
    env.XDG_RUNTIME_DIR = join(home, 'run');
    await mkdir(join(home, 'run', 'containers'), { recursive: true });
    const auths = { 'a.io': { auth: base64('podman:p') }, 'b.io/team': { auth: base64('podman:p') } };
    await config({ auths }, join(home, 'run', 'containers'), 'auth.json');
    const lookup = credentials();
    expect((await lookup('a.io/x'))?.username).toBe('docker');
    expect((await lookup('b.io/team/x'))?.username).toBe('podman');
    expect(await lookup('b.io/teams/x')).toBeUndefined();
  });

  it('reads all files of Docker and podman, REGISTRY_AUTH_FILE first', async () => {
    const places = {
      REGISTRY_AUTH_FILE: 'named.json',
      DOCKER_AUTH_CONFIG: '',
      DOCKER_CONFIG: 'docker/config.json',
      XDG_RUNTIME_DIR: 'run/containers/auth.json',
      XDG_CONFIG_HOME: 'config/containers/auth.json',
    };
    const auths: Record<string, unknown> = {};
    for (const [variable, file] of Object.entries(places).reverse()) {
      auths[`${variable.toLowerCase().replaceAll('_', '-')}.io`] = { auth: base64(`${variable}:p`) };
      auths['a.io'] = { auth: base64(`${variable}:p`) };
      if (file === '') {
        env[variable] = JSON.stringify({ auths });
        continue;
      }
      await mkdir(join(home, file, '..'), { recursive: true });
      await config({ auths }, join(home, file, '..'), file.split('/').at(-1));
      env[variable] = join(home, file.endsWith('named.json') ? file : (file.split('/')[0] ?? ''));
    }
    const lookup = credentials();
    for (const variable of Object.keys(places)) {
      const registry = `${variable.toLowerCase().replaceAll('_', '-')}.io`;
      expect((await lookup(`${registry}/x`))?.username).toBe(variable);
    }
    expect((await lookup('a.io/x'))?.username).toBe('REGISTRY_AUTH_FILE');
    env = { ...env, REGISTRY_AUTH_FILE: '' };
    expect((await credentials()('a.io/x'))?.username).toBe('DOCKER_AUTH_CONFIG');
    env = { ...env, DOCKER_AUTH_CONFIG: '' };
    expect((await credentials()('a.io/x'))?.username).toBe('DOCKER_CONFIG');
  });

  it("reads podman's file in ~/.config without any variable", async () => {
    await mkdir(join(home, '.config', 'containers'), { recursive: true });
    await config({ auths: { 'a.io': { auth: base64('u:p') } } }, join(home, '.config', 'containers'), 'auth.json');
    expect((await credentials()('a.io/x'))?.username).toBe('u');
  });

  it.each(['', ' \n', 'null', '\uFEFF{}', '{"auths":null}'])(
    'takes a file with %j for one without logins',
    async (text) => {
      await writeFile(join(home, '.docker', 'config.json'), text);
      expect(await credentials()('a.io/x')).toBeUndefined();
      expect(warnings).toEqual([]);
    },
  );

  it('warns of a file that cannot be read, and goes on without it', async () => {
    await mkdir(join(home, '.docker', 'config.json'));
    expect(await credentials()('a.io/x')).toBeUndefined();
    expect(warnings).toEqual([
      `${home}/.docker/config.json cannot be read (EISDIR): registries are asked without its logins`,
    ]);
  });

  it('prefers the longest namespace', async () => {
    const auths = {
      'a.io': { auth: base64('host:p') },
      'a.io/t': { auth: base64('t:p') },
      'a.io/t/x': { auth: base64('x:p') },
    };
    await config({ auths });
    const lookup = credentials();
    expect((await lookup('a.io/t/x'))?.username).toBe('x');
    expect((await lookup('a.io/t/y'))?.username).toBe('t');
    expect((await lookup('a.io/u'))?.username).toBe('host');
  });

  it('names a file that cannot be used, without a piece of it', async () => {
    await writeFile(join(home, '.docker', 'config.json'), '{"auths": hunter2');
    const error = await refusal(credentials()('a.io/x'));
    expect(error.class).toBe('configuration');
    expect(error.message).toContain('config.json is not a JSON object');
    expect(error.message).not.toContain('hunter2');
  });
});

describe('credential helpers', () => {
  it('asks by the registry on stdin, without a shell, and by the old name for Docker Hub', async () => {
    await helper('one', 'echo \'{"ServerURL":"x","Username":"u","Secret":"s"}\'');
    await config({ credHelpers: { 'a.io:8443': 'one', 'docker.io': 'one' } });
    const lookup = credentials();
    expect(await lookup('a.io:8443/x')).toEqual({ username: 'u', password: 's' });
    expect(await lookup('nginx')).toEqual({ username: 'u', password: 's' });
    expect(await calls()).toEqual(['one get a.io:8443', 'one get https://index.docker.io/v1/']);
  });

  it('takes <token> for an identity token', async () => {
    await helper('one', 'echo \'{"Username":"<token>","Secret":"refresh"}\'');
    await config({ credsStore: 'one' });
    expect(await credentials()('a.io/x')).toEqual({ identityToken: 'refresh' });
  });

  it('goes on where a helper has nothing: store, then what is stored', async () => {
    await helper('none', 'echo "credentials not found in native keychain"; exit 1');
    await config({ credsStore: 'none', auths: { 'a.io': { auth: base64('stored:p') }, 'b.io': {} } });
    const lookup = credentials();
    expect((await lookup('a.io/x'))?.username).toBe('stored');
    expect(await lookup('b.io/x')).toBeUndefined();
  });

  it("prefers a registry's own helper to the store", async () => {
    await helper('own', 'echo \'{"Username":"own","Secret":"s"}\'');
    await helper('store', 'echo \'{"Username":"store","Secret":"s"}\'');
    await config({ credsStore: 'store', credHelpers: { 'a.io': 'own' } });
    const lookup = credentials();
    expect((await lookup('a.io/x'))?.username).toBe('own');
    expect((await lookup('b.io/x'))?.username).toBe('store');
  });

  it('is asked once for many lookups, again for a fresh one, and again when the answer is old', async () => {
    await helper('one', 'echo "{\\"Username\\":\\"u$(wc -l < "$CALLS" | tr -d \' \')\\",\\"Secret\\":\\"s\\"}"');
    await config({ credsStore: 'one' });
    vi.useFakeTimers({ toFake: ['Date'] });
    const lookup = credentials({ cacheMs: 60_000 });
    const users = async (...all: Array<ReturnType<typeof lookup>>) =>
      (await Promise.all(all)).map((entry) => entry?.username);
    expect(await users(lookup('a.io/x'), lookup('a.io/y'), lookup('a.io/z'))).toEqual(['u1', 'u1', 'u1']);
    expect(await users(lookup('a.io/x'))).toEqual(['u1']);
    expect(await users(lookup('a.io/x', true), lookup('a.io/y', true))).toEqual(['u2', 'u2']);
    expect(await users(lookup('a.io/x'))).toEqual(['u2']);
    vi.setSystemTime(Date.now() + 60_001);
    expect(await users(lookup('a.io/x'))).toEqual(['u3']);
  });

  it('reads the config file again for a fresh lookup', async () => {
    const lookup = credentials();
    await config({ auths: { 'a.io': { auth: base64('old:p') } } });
    expect((await lookup('a.io/x'))?.username).toBe('old');
    await config({ auths: { 'a.io': { auth: base64('new:p') } } });
    expect((await lookup('a.io/x'))?.username).toBe('old');
    expect((await lookup('a.io/x', true))?.username).toBe('new');
  });

  it.each([
    ['is not installed', undefined],
    ['cannot be run (EACCES)', 0o644],
  ])('warns once for all registries of a helper that %s, and goes on without it', async (why, mode) => {
    if (mode !== undefined) {
      await helper('nowhere', 'exit 1');
      await chmod(join(home, 'bin', 'docker-credential-nowhere'), mode);
    }
    await config({ credsStore: 'nowhere', auths: { 'b.io': { auth: base64('stored:p') } } });
    const lookup = credentials();
    expect(await lookup('a.io/x')).toBeUndefined();
    expect(await lookup('c.io/x')).toBeUndefined();
    expect((await lookup('b.io/x'))?.username).toBe('stored');
    expect([...new Set(warnings)]).toEqual([
      `the credential helper docker-credential-nowhere, which ${home}/.docker/config.json names, ${why}: ` +
        'registries are asked without its logins. Install it, or take it out of the file',
    ]);
  });

  it.each([
    ['its interpreter is missing', '#!/nowhere/python3\n', 'is not installed'],
    ['env finds no interpreter', '#!/usr/bin/env no-such-interpreter\n', 'cannot be run'],
    ['it is for another machine', '\x7fELF\0\0\0', 'cannot be run'],
  ])('warns of a helper where %s', async (_what, text, why) => {
    const file = join(home, 'bin', 'docker-credential-odd');
    await writeFile(file, text);
    await chmod(file, 0o755);
    await config({ credHelpers: { 'a.io': 'odd' } });
    expect(await credentials()('a.io/x')).toBeUndefined();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(why);
  });

  it.each([
    ['says so', 'echo "credentials not found in native keychain"; exit 1'],
    ['knows no server', 'echo "no credentials server URL"; exit 1'],
    ['gives an empty login', 'echo \'{"ServerURL":"a.io","Username":"","Secret":""}\''],
    ['gives an empty token', 'echo \'{"Username":"<token>","Secret":""}\''],
    ['gives nothing', 'echo "{}"'],
  ])('a helper that %s has no login: told where it was named for the registry', async (_what, line) => {
    await helper('none', line);
    await config({ credsStore: 'none', credHelpers: { 'a.io': 'none' } });
    const lookup = credentials();
    expect(await lookup('b.io/x')).toBeUndefined();
    expect(warnings).toEqual([]);
    expect(await lookup('a.io/x')).toBeUndefined();
    expect(warnings).toEqual([
      `docker-credential-none, which ${home}/.docker/config.json names for a.io, has no login for it`,
    ]);
  });

  it.each(['../evil', 'a b', '', ';id', '-x'])('does not run the helper %j', async (name) => {
    await config({ credHelpers: { 'a.io': name } });
    if (name === '') expect(await credentials()('a.io/x')).toBeUndefined();
    else expect((await refusal(credentials()('a.io/x'))).message).toMatch(/not a program's name/);
  });

  it.each([
    ['fails', 'echo hunter2; echo hunter2 >&2; exit 3', 'unauthorized', /ended with 3/],
    ['talks nonsense', 'echo hunter2', 'unauthorized', /not JSON/],
    ['answers something else', 'echo \'["hunter2"]\'', 'unauthorized', /no Username and Secret/],
    ['never stops talking', 'while :; do echo hunter2hunter2hunter2; done', 'unauthorized', /longer than/],
    ['is killed', 'kill -9 $$', 'unauthorized', /ended by SIGKILL/],
  ])('never shows what a helper says that %s', async (_, line, code, what) => {
    await helper('bad', line);
    await config({ credsStore: 'bad' });
    const error = await refusal(credentials()('a.io/x'));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(what);
    expect(`${error.stack} ${String(error.cause)} ${error.mend}`).not.toContain('hunter2');
  });

  it('ends helpers that run when the command is over', async () => {
    await helper('slow', 'sleep 600');
    await config({ credsStore: 'slow' });
    const lookup = refusal(credentials({ helperTimeoutMs: 600_000 })('a.io/x'));
    await expect.poll(calls, { timeout: 30_000 }).toHaveLength(1);
    endHelpers();
    expect((await lookup).message).toMatch(/ended by SIGKILL/);
  });

  it('does not wait for ever, waits once for all, and asks again after a minute or when a fresh login is wanted', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await helper('slow', 'sleep 30');
    await config({ credsStore: 'slow' });
    const lookup = credentials({ helperTimeoutMs: 300 });
    for (let time = 0; time < 3; time += 1) {
      expect(await refusal(lookup('a.io/x'))).toMatchObject({
        class: 'permanent',
        code: 'timeout',
        message:
          'the credential helper docker-credential-slow gave no login for a.io: it was still running after 0.3 s',
      });
    }
    expect(await calls()).toHaveLength(1);
    await refusal(lookup('a.io/x', true));
    expect(await calls()).toHaveLength(2);
    vi.setSystemTime(Date.now() + 60_001);
    await refusal(lookup('a.io/x'));
    expect(await calls()).toHaveLength(3);
  });
});

describe('certificates of an auth file', () => {
  const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';

  it('are read relative to the auth file, or taken as text', async () => {
    await writeFile(join(home, 'ca.pem'), pem);
    const entries = new Map([['a.io', { username: 'u', password: 'p', ca: 'ca.pem', cert: pem }]]);
    expect((await readPemFiles(entries, home)).get('a.io')).toEqual({
      username: 'u',
      password: 'p',
      ca: pem,
      cert: pem,
    });
  });

  it('are refused where they are missing or something else', async () => {
    await writeFile(join(home, 'x.pem'), 'hunter2');
    const missing = await refusal(readPemFiles(new Map([['a.io', { ca: 'nope.pem' }]]), home));
    expect(missing.message).toMatch(/^ca of a\.io in the auth file: .*nope\.pem cannot be read \(ENOENT\)/);
    const wrong = await refusal(readPemFiles(new Map([['a.io', { key: 'x.pem' }]]), home));
    expect(wrong.message).toMatch(/is not PEM/);
    expect(wrong.message).not.toContain('hunter2');
  });
});
