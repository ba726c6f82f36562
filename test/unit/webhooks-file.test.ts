import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadSenders } from '../../core/announce/load-senders.ts';
import { TranshipError } from '../../core/model/errors.ts';
import { urlToken } from '../support/announce.ts';

const secret = 'a secret of some length';
const load = (text: string, env: Record<string, string> = {}) => loadSenders(text, { file: 'webhooks.yaml', env });

function problemsIn(text: string, env: Record<string, string> = {}): string {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof TranshipError && error.class === 'configuration') return error.message;
    throw error;
  }
  return 'none';
}

describe('a webhooks file', () => {
  it('says of each sender who it is, how it proves that, and what it may speak for', () => {
    const text = `
hub: { dialect: docker-hub, token: $HUB }
inner: { dialect: harbor, header: { Authorization: ["\${NEW}", "\${OLD}"] }, registry: Harbor.example.com }
jfrog: { dialect: artifactory, hmac: $NEW, repositories: { docker-local: acme.jfrog.io/docker-local } }
`;
    const sources = load(text, { HUB: urlToken, NEW: secret, OLD: `${secret} before` });
    expect([...sources.values()]).toEqual([
      {
        name: 'hub',
        dialect: 'docker-hub',
        urlTokens: [urlToken],
        auth: { kind: 'url' },
        allow: ['docker.io'],
        ownActors: [],
      },
      {
        name: 'inner',
        dialect: 'harbor',
        urlTokens: [],
        auth: { kind: 'header', name: 'authorization', secrets: [secret, `${secret} before`] },
        registry: 'harbor.example.com',
        allow: ['harbor.example.com'],
        ownActors: [],
      },
      {
        name: 'jfrog',
        dialect: 'artifactory',
        urlTokens: [],
        auth: { kind: 'hmac', secrets: [secret] },
        repositories: { 'docker-local': 'acme.jfrog.io/docker-local' },
        allow: ['acme.jfrog.io/docker-local'],
        ownActors: [],
      },
    ]);
  });

  it('of the examples can be used', () => {
    const text = readFileSync(new URL('../../examples/webhooks.yaml', import.meta.url), 'utf8');
    const names = [...text.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name as string);
    const sources = load(text, Object.fromEntries(names.map((name) => [name, `${name}-aaaaaaaaaaaaaaaaaaaaaaaa`])));
    expect([...sources.keys()]).toEqual(['docker-hub', 'ghcr', 'harbor', 'distribution', 'google', 'ci']);
    expect(sources.get('harbor')?.ownActors).toEqual(['robot$tranship']);
  });

  it.each([
    ['- hub', 'a webhooks file is a map'],
    ['hub: *nope', 'this alias has no anchor before it'],
    ['*nope', 'this alias has no anchor before it'],
    ['nginx: r.io/nginx\nredis: r.io/redis', 'this is an images file, and not a webhooks file — give it with --images'],
    [
      'r.io:\n  username: u\n  password: hush',
      'this is a file of logins, and not a webhooks file — give it with --auth',
    ],
    ['Hub: { dialect: docker-hub, token: $T }', '"Hub": the name is part of a URL — use at most 63 lower-case letters'],
    ['hub: { dialect: dockerhub, token: $T }', 'dialect is unknown — did you mean docker-hub?'],
    ['hub: { dialect: ecs, token: $T }', 'dialect is unknown — did you mean ecr?'],
    ['hub: { dialect: jenkins, token: $T }', 'dialect is unknown — use one of acr, acr-event-grid, '],
    ['hub: { dialect: docker-hub, tokens: $T }', 'webhooks.yaml:1:29: unknown key "tokens" — did you mean token?'],
    ['hub: { token: $T }', '"hub" has no "dialect"'],
    ['hub:\n  - docker-hub', '"hub" must be a map, and is a list'],
    ['hub: { dialect: docker-hub }', '"hub": a token is needed — write token:'],
    ['hub: { dialect: docker-hub, token: 5 }', 'webhooks.yaml:1:36: token must be text or a list, and is a number'],
    ['hub:\n  dialect: docker-hub\n  token: short', 'webhooks.yaml:3:3: "hub": a token is at least 22 letters'],
    ['hub: { dialect: docker-hub, token: $NOT_SET }', 'NOT_SET is not set'],
    ['hub: { dialect: docker-hub, token: [$T, $T, $T] }', 'token has more than 2 entries'],
    ['hub: { dialect: docker-hub, token: $T, hmac: $S }', 'senders of docker-hub do not sign — write a token: in'],
    ['h: { dialect: harbor, header: { A: $S, B: $S }, allow: [a.b] }', 'header has more than 1 entry'],
    ['h: { dialect: harbor, basic: [{ username: a }], allow: [a.b] }', 'has no "password"'],
    ['h: { dialect: harbor, bearer: $S, registry: "a.b/c" }', '"a.b/c" is not the name of a registry — write host'],
    ['e: { dialect: ecr, sns: [a], allow: [a.b] }', 'item 1 of sns is not the ARN of a topic'],
    ['g: { dialect: ghcr, hmac: "short" }', 'a secret is shorter than 16 characters — make one with'],
    ['g: { dialect: ghcr, hmac: $S, bearer: $S }', 'hmac and bearer exclude each other'],
    ['z: { dialect: zot, token: $T }', 'zot does not say its own name — write registry:'],
    ['n: { dialect: nexus, hmac: $S, registry: a.example, repositories: { a: a.example/a } }', 'exclude each other'],
    ['h: { dialect: harbor, bearer: $S }', 'it is not said what it may speak for — write allow:'],
    ['h: { dialect: harbor, bearer: $S, allow: ["a.example/Team"] }', 'is not a registry or a namespace of one'],
    [
      'e: { dialect: harbor, sns: ["arn:aws:sns:eu-west-1:123456789012:a"], allow: [a.example] }',
      'sns: does not go with harbor',
    ],
    ['hub: { dialect: docker-hub, token: $T }\nhub: { dialect: quay, token: $T }', 'webhooks.yaml:2:1'],
    ['hub: { dialect: [', 'webhooks.yaml:1'],
  ])('that says %j is refused with its place', (text, message) => {
    expect(problemsIn(text, { T: urlToken, S: secret })).toContain(message);
  });

  it('is refused without a word of its secrets', () => {
    const problems = problemsIn(
      `a: { dialect: ghcr, hmac: "${secret}", token: "tooshort", bearer: x }\nb: { dialect: ["${secret}"] }`,
    );
    expect(problems).toContain('3 problems');
    for (const word of [secret, 'tooshort']) expect(problems).not.toContain(word);
  });

  it('throws nothing but its own error, whatever it is', () => {
    const value = fc.oneof(
      fc.string(),
      fc.constantFrom('docker-hub', 'ghcr', '$X', urlToken),
      fc.array(fc.string(), { maxLength: 3 }),
      fc.object({ maxDepth: 1, maxKeys: 3 }),
    );
    const keys = fc.constantFrom(
      'dialect',
      'token',
      'hmac',
      'header',
      'basic',
      'google',
      'sns',
      'registry',
      'repositories',
      'allow',
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.dictionary(keys, value), { maxKeys: 3 }), (file) => {
        expect(problemsIn(JSON.stringify(file))).toEqual(expect.any(String));
      }),
    );
  });
});
