import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { looksOwn } from '../../../core/config/own-file.ts';

const examples = new URL('../../../examples/', import.meta.url);

describe('an auth file that was found by its name', () => {
  it.each([
    readFileSync(new URL('auth.yaml', examples), 'utf8'),
    'quay.io: {user: u, pass: p}',
    '{"library": {"USERNAME": "u", "password": "p"}}',
    '{"https://registry.example.com:5000/v2/": {}}',
    'auth:\n  quay.io: {username: u, password: p}',
    '- registry: quay.io\n  username: u\n',
    '{"quay.io": {"username": "u" "password": "p"}}',
    'quay.io: {username: "ENC[x]"}\nsops: {mac: x}',
    // These are told of, or say that there are no logins.
    '',
    '{}',
    '# none\n',
  ])('is meant: %j', (text) => {
    expect(looksOwn('auth', text)).toBe(true);
  });

  it.each([
    ['Composer', '{"http-basic": {"repo.example.org": {"username": "u", "password": "p"}}, "github-oauth": {}}'],
    ['Podman', '{"auths": {"quay.io": {"auth": "dTpw"}}}'],
    ['Codex', '{"OPENAI_API_KEY": null, "tokens": {"id_token": "x"}}'],
    ['a web app', 'jwt: {secret: x, expiresIn: 1h}\nproviders: [github]'],
    ['with a broken syntax', 'jwt: [x'],
  ])("is another program's: %s", (_, text) => {
    expect(looksOwn('auth', text)).toBe(false);
  });
});

describe('a config file that was found by its name', () => {
  it.each([
    'auth: {quay.io: {username: u, password: p}}\nimages: {nginx: r.io/nginx}',
    'images: {nginx: r.io/nginx}',
    'images: {nginx: $MIRROR/nginx}',
    'images: {"nginx:1.27": []}',
    'auth: {quay.io: {username: u}}\nimage: {nginx: r.io/nginx}',
    'auth: {library: {username: u}}',
    'auth: nothing\nimages: [nginx]',
    'version: 1\nrules: [{from: nginx, to: r.io/nginx}]',
    'quay.io/coreos/etcd: r.io/etcd\nnginx:1: [r.io/nginx]',
    'auth:\n\tquay.io: {}\nimages:\n  nginx: r.io/nginx',
    '{\n  "auth": {\n    "quay.io": {}\n  }\n  "images": {}\n}',
  ])('is meant: %j', (text) => {
    expect(looksOwn('config', text)).toBe(true);
  });

  it.each([
    ['a web app', '{"port": 8080, "auth": {"clientId": "x", "redirect": "/login"}}'],
    ['Next.js', '{"images": {"domains": ["img.example.org"], "path": "/_next/image"}}'],
    ['a theme', 'images: {logo: ./img/logo.png, hero: "https://example.org/hero.png"}'],
    ['Hugo', 'baseURL: https://example.org/\ntitle: x\nimages: [cover.png]\n'],
    ['a proxy', '{"/api": "http://localhost:3000", "home": "example.org/x"}'],
    ['Kubernetes', 'apiVersion: v1\nkind: Config\nclusters: []'],
    ['Docker', '{"auths": {"quay.io": {}}}'],
    [
      'a registry',
      'version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nauth: {htpasswd: {realm: x}}',
    ],
    ['JSON with comments', '{\n  // the port\n  "port": 8080\n}'],
    ['nothing', ''],
  ])("is another program's: %s", (_, text) => {
    expect(looksOwn('config', text)).toBe(false);
  });
});

it('no example would be passed over', () => {
  for (const name of readdirSync(examples).filter((file) => /^(auth|config)\b.*\.(ya?ml|json)$/.test(file))) {
    const kind = name.startsWith('auth') ? 'auth' : 'config';
    expect(looksOwn(kind, readFileSync(new URL(name, examples), 'utf8')), name).toBe(true);
  }
});
