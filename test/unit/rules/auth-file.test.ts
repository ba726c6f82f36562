import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findAuth, loadAuth, normaliseAuthKey } from '../../../core/config/auth-file.ts';
import { TranshipError } from '../../../core/model/errors.ts';
import { parseRepository } from '../../../core/model/reference.ts';
import { fileCredentials } from '../../../machine/credentials/file-credentials.ts';

function load(text: string, env: Record<string, string> = {}) {
  return loadAuth(text, { file: 'auth.yaml', env });
}

function refusal(text: string): TranshipError {
  try {
    load(text);
  } catch (error) {
    if (error instanceof TranshipError) return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

describe('loadAuth', () => {
  it('reads the example', () => {
    const text = readFileSync(new URL('../../../examples/auth.yaml', import.meta.url), 'utf8');
    const env = { DOCKERHUB_USERNAME: 'me', DOCKERHUB_TOKEN: 't', MIRROR_PASSWORD: 'm', READER_PASSWORD: 'r' };
    const { entries, warnings } = load(text, env);
    expect(warnings).toEqual([]);
    expect(Object.fromEntries(entries)).toEqual({
      'docker.io': { username: 'me', password: 't' },
      'registry.example.com': { username: 'mirror', password: 'm' },
      'registry.example.com/public': { username: 'reader', password: 'r' },
      '127.0.0.1:5000': { insecure: true },
    });
  });

  it('takes what image-syncer takes: any scalar as text, flags of YAML 1.1, keys in any case, empty logins', () => {
    const { entries } = load(`
a.io: {username: 123, password: 0123, insecure: yes}
b.io: {Username: true, PASSWORD: 1.50, insecure: "false"}
c.io:
d.io: {}
e.io: {username: u, password: 'x: #y'}
`);
    expect(Object.fromEntries(entries)).toEqual({
      'a.io': { username: '123', password: '0123', insecure: true },
      'b.io': { username: 'true', password: '1.50', insecure: false },
      'c.io': {},
      'd.io': {},
      'e.io': { username: 'u', password: 'x: #y' },
    });
    expect(load('a.io:\n  username: u\n  password: |\n    pass word\n').entries.get('a.io')?.password).toBe(
      'pass word',
    );
    expect(() => load('')).toThrow('auth.yaml:1:1: the auth file is empty');
  });

  it('takes null for nothing, in YAML and in JSON', () => {
    const { entries, warnings } = load('a.io: {username: ~, password: null}\nb.io: {username: u, password: }\n');
    expect([...entries.values()]).toEqual([{}, {}]);
    expect(warnings).toEqual(['auth.yaml:2:1: the login of "b.io" has no password, so access is anonymous']);
    const text =
      '{"a.io": {"username": null, "password": null, "ca": null}, "b.io": {"username": "null", "password": "~"}}';
    expect(Object.fromEntries(load(text).entries)).toEqual({ 'a.io': {}, 'b.io': { username: 'null', password: '~' } });
  });

  it('tells of templates that were not filled in', () => {
    expect(refusal(`a.io: {username: "\${{ secrets.USER }}"}`).message).toBe(
      `auth.yaml:1:18: this is a template that was not filled in — GitHub fills it in within a workflow only: put it into the step's env:, and write \${NAME} here`,
    );
    const { warnings } = load('a.io: {username: u, password: "{{ .Password }}"}');
    expect(warnings).toEqual(['auth.yaml:1:1: password of "a.io" looks like a template that was not filled in']);
  });

  it("takes NVIDIA's user name as it is, unless there is a variable of that name", () => {
    const text = 'nvcr.io: { username: $oauthtoken, password: $KEY }';
    const userOf = (env: Record<string, string>) => load(text, { KEY: 'k', ...env }).entries.get('nvcr.io')?.username;
    expect([userOf({}), userOf({ oauthtoken: 'me' })]).toEqual(['$oauthtoken', 'me']);
    expect(load('nvcr.io: { username: $$oauthtoken, password: k }').entries.get('nvcr.io')?.username).toBe(
      '$oauthtoken',
    );
    expect(refusal('nvcr.io: { username: $oauthtokens, password: k }').message).toContain('oauthtokens is not set');
  });

  it('takes providers of logins, and refuses them elsewhere than at their own registries', () => {
    const { entries } = load(
      `
123456789012.dkr.ecr.eu-west-1.amazonaws.com: { provider: ecr, profile: mirror }
europe-docker.pkg.dev/team: { provider: Google, keyFile: key.json, ca: ca.pem }
team.azurecr.io: { provider: azure, clientId: $ID }
`,
      { ID: 'mine' },
    );
    expect([...entries.values()]).toEqual([
      { provider: 'ecr', profile: 'mirror' },
      { provider: 'google', keyFile: 'key.json', ca: 'ca.pem' },
      { provider: 'azure', clientId: 'mine' },
    ]);
    expect(refusal('r.io: { provider: ecr }').message).toContain('the provider ecr has no login for "r.io"');
    expect(refusal('gcr.io: { provider: gogle }').message).toContain(
      '"gogle" is no provider of logins — did you mean google?',
    );
    expect(refusal('gcr.io: { profile: x }').message).toContain(
      'has profile without its provider — write provider: ecr, too',
    );
    const both = refusal('gcr.io: { provider: google, username: u, password: secret }').message;
    expect(both).toContain('has both provider and username');
    expect(both).not.toContain('secret');
    expect(refusal('gcr.io: { provider: google, insecure: true }').message).toContain(
      'both provider and insecure: true',
    );
  });

  it.each(['# none yet', '---', 'null'])('takes %j, which has no logins, and says so', (text) => {
    const { entries, warnings } = loadAuth(text, { file: 'auth.yaml', env: {} });
    expect([entries.size, warnings]).toEqual([0, ['auth.yaml: there are no logins in the file']]);
    expect(loadAuth('{}', { file: 'auth.yaml', env: {} }).warnings).toEqual([]);
  });

  it('takes tokens and certificates', () => {
    const { entries } = load('a.io: {identityToken: t, registryToken: r, ca: ca.pem, cert: c.pem, key: k.pem}');
    expect(entries.get('a.io')).toEqual({
      identityToken: 't',
      registryToken: 'r',
      ca: 'ca.pem',
      cert: 'c.pem',
      key: 'k.pem',
    });
  });

  it('treats half a login as anonymous, and says so', () => {
    const { entries, warnings } = load(
      'a.io: {username: u, insecure: true}\nb.io: {password: p}\nc.io: {username: u, password: $P}',
      { P: '' },
    );
    expect(Object.fromEntries(entries)).toEqual({ 'a.io': { insecure: true }, 'b.io': {}, 'c.io': {} });
    expect(warnings).toEqual([
      'auth.yaml:1:1: the login of "a.io" has no password, so access is anonymous',
      expect.stringMatching(/auth\.yaml:2:1: .* no username/),
      expect.stringMatching(/auth\.yaml:3:1: .* no password/),
    ]);
  });

  it('keeps the first of two names for one registry, and says so', () => {
    const { entries, warnings } = load(
      'docker.io: {username: a, password: b}\nhttps://index.docker.io/v1/: {username: c, password: d}',
    );
    expect(entries.get('docker.io')?.username).toBe('a');
    expect(warnings).toEqual([expect.stringMatching(/:2:1: .* means docker\.io/)]);
  });

  it.each([
    ['a.io: {pasword: p}', 'auth.yaml:1:8: unknown key "pasword" — did you mean password?'],
    ['a.io: text', 'auth.yaml:1:7: the login of "a.io" must be a map — write username: and password: below it'],
    ['a.io: {username: [u]}', 'auth.yaml:1:18: username of "a.io" must be text'],
    ['a.io: {insecure: maybe}', 'auth.yaml:1:18: insecure must be true or false'],
    ['a.io: {cert: x}', /one of cert and key/],
    ['a.io: {username: $NOPE_X}', /the environment variable NOPE_X is not set/],
    ['"a.io/b:v1": {}', /is not a registry or a namespace/],
    ['"": {}', /is not a registry or a namespace/],
    ['- a', /an auth file is a map/],
    ['a.io: {}\na.io: {username: u, password: hush}', /is there already, on line 1 — keep one of them$/],
    ['{"auths": {"a.io": {"auth": "eDp5"}}}', /this is Docker's config\.json/],
  ])('refuses %s', (text, message) => {
    const error = refusal(text);
    expect(error.class).toBe('configuration');
    if (typeof message === 'string') expect(error.message).toBe(message);
    else expect(error.message).toMatch(message);
  });

  it('never repeats a password, however broken the file is', () => {
    const secret = 'hunter2secret';
    const broken = [
      `a.io: {password: *${secret}}`,
      `a.io: {password: @${secret}}`,
      `a.io: {password: "${secret}`,
      `a.io: {password: "\\q${secret}"}`,
      `a.io:\n  password: ${secret}\n bad: indent`,
      `a.io:\n\tpassword: ${secret}`,
      `a.io: {password: "x$${secret}"}`,
      `a.io: {password: x\${${secret}}`,
      `a.io: {password: [${secret}]}`,
      `a.io: {password: {x: ${secret}}}`,
      `a.io: {insecure: ${secret}}`,
      `a.io: ${secret}`,
      `a.io: {password: !!${secret} x, pass: y}`,
      `a.io: {password: |${secret}}`,
      `a.io: {ca: x, cert: ${secret}}`,
      `["${secret}"]`,
      secret,
    ];
    for (const text of broken) {
      const { message, mend, cause, stack } = refusal(text);
      expect([message, mend, String(cause), stack].join('\n')).not.toContain(secret);
    }
  });
});

describe('finding a login', () => {
  const { entries } = load(`
quay.io: {username: registry, password: p}
quay.io/coreos: {username: namespace, password: p}
quay.io/coreos/etcd: {username: repository, password: p}
docker.io: {username: hub, password: p}
library: {username: official, password: p}
"[::1]:5000/a/": {username: v6, password: p}
HTTPS://Reg.Example.com:8443/v2/: {username: url, password: p}
`);

  it.each([
    ['quay.io/other/x', 'registry'],
    ['quay.io/coreos/flannel', 'namespace'],
    ['quay.io/coreos/etcd', 'repository'],
    ['quay.io/coreos/etcd/sub', 'repository'],
    ['quay.io/coreosx/etcd', 'registry'],
    ['nginx', 'official'],
    ['bitnami/redis', 'hub'],
    ['[::1]:5000/a/b', 'v6'],
    ['reg.example.com:8443/x', 'url'],
    ['[::1]:5000/ab', undefined],
    ['quay.io.evil.com/coreos/etcd', undefined],
    ['reg.example.com/x', undefined],
  ])('%s', async (repository, username) => {
    expect(findAuth(entries, parseRepository(repository))?.username).toBe(username);
    expect((await fileCredentials(entries).lookup(parseRepository(repository)))?.username).toBe(username);
  });

  it.each([
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['https://index.docker.io/v1/', 'docker.io'],
    ['registry-1.docker.io/', 'docker.io'],
    ['docker.io/library', 'docker.io/library'],
    ['myteam/app', 'docker.io/myteam/app'],
    ['localhost', 'localhost'],
    ['Quay.IO/coreos/', 'quay.io/coreos'],
    ['http://127.0.0.1:5000', '127.0.0.1:5000'],
    ['v1', undefined],
    ['quay.io/A', undefined],
    ['quay.io//a', undefined],
    ['..', undefined],
    ['', undefined],
  ])('reads the key %j', (key, normalised) => {
    expect(normaliseAuthKey(key)).toBe(normalised);
  });

  it('leaves a normalised key as it is, and refuses the rest', () => {
    const key = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'aZ0.:/-_[]'), maxLength: 20 }));
    fc.assert(
      fc.property(key, (text) => {
        const normalised = normaliseAuthKey(text);
        if (normalised !== undefined) expect(normaliseAuthKey(normalised)).toBe(normalised);
      }),
      { numRuns: 300 },
    );
  });
});
