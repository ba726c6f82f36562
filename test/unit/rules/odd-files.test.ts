import { describe, expect, it } from 'vitest';
import { loadAuth } from '../../../core/config/auth-file.ts';
import { TranshipError } from '../../../core/model/errors.ts';
import { loadRules } from '../../../core/rules/load-rules.ts';

const load = (text: string) => loadRules(text, { file: 'f', env: {} });
const auth = (text: string) => loadAuth(text, { file: 'f', env: {} });

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof TranshipError && error.class === 'configuration') return error.message;
    throw error;
  }
  throw new Error('accepted');
}

describe("another tool's file", () => {
  it.each([
    [
      'regsync',
      'version: 1\ncreds:\n  - registry: r.io\n    user: u\n    pass: hush\nsync:\n  - source: busybox:1\n    target: r.io/busybox\n    type: image\n',
      'a file of regsync',
    ],
    [
      'skopeo',
      'registry.example.com:\n  images:\n    busybox: []\n  credentials: {username: u, password: hush}\n  tls-verify: true\nquay.io:\n  images-by-tag-regex: {coreos/etcd: ^v3}\n',
      'a file of skopeo sync',
    ],
    [
      'dregsy',
      'relay: skopeo\ntasks:\n  - name: t\n    source: {registry: a.io, auth: hush}\n    target: {registry: b.io}\n    mappings: [{from: a, to: b}]\n',
      'a file of dregsy',
    ],
    [
      'Harbor',
      '{"name":"x","src_registry":{"id":1},"dest_registry":null,"filters":[]}',
      'a replication policy of Harbor',
    ],
    [
      'a list of Harbor',
      '[{"name":"x","src_registry":null,"dest_registry":{"id":1}}]',
      'a replication policy of Harbor',
    ],
    [
      'sinker',
      'target: {host: r.io, repository: m}\nimages:\n  - repository: a/b\n    host: quay.io\n    tag: v1\n',
      'a file of sinker',
    ],
    ['Compose', 'services:\n  web:\n    image: nginx:1\n', 'a file of Docker Compose'],
    ['Compose 3', 'version: "3.8"\nservices: {web: {build: .}, db: {image: postgres}}\n', 'a file of Docker Compose'],
    [
      'Kubernetes',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n',
      'a Kubernetes manifest (kind "Deployment")',
    ],
    [
      'imgpkg',
      'apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: a@sha256:x\n',
      'a file of imgpkg',
    ],
    [
      'hauler',
      'apiVersion: content.hauler.cattle.io/v1\nkind: Images\nspec: {images: [{name: nginx}]}\n',
      'a file of hauler',
    ],
    [
      'a list of maps',
      '- source: nginx:1\n  destination: r.io/nginx\n- source: b\n  destination: r.io/b\n',
      'lines such as "nginx:1: r.io/nginx"',
    ],
    [
      'such a list below images',
      'images:\n  - src: nginx\n    dest: [r.io/nginx]\n',
      'a list of maps with src and dest',
    ],
    [
      'a list of images alone',
      'images:\n  - name: nginx\n    tag: latest\n',
      'a list of maps with name, and not rules — write it as a map, with lines such as "nginx: destination"',
    ],
    ['rules without their head', '- from: a\n  to: r.io/a\n', 'put version: 1 and rules: above it'],
    ['Docker', '{"auths":{"r.io":{"auth":"c2VjcmV0"}},"credsStore":"pass"}', "Docker's config.json"],
    [
      'logins',
      'quay.io:\n  username: u\n  password: hush\nr.io:\n  insecure: true\n',
      'a file of logins, and not rules — give it with --auth',
    ],
    [
      'webhooks',
      'hub:\n  dialect: docker-hub\n  token: hush\n',
      'a webhooks file, and not rules — give it with --webhooks',
    ],
    ['SOPS', 'nginx: ENC[AES256_GCM,data:x]\nsops:\n  mac: x\n', 'encrypted by SOPS'],
  ])('of %s is one error that names it', (_, text, message) => {
    const said = refusal(() => load(text));
    expect(said).toMatch(/^f:1:1: this is /);
    expect(said).toContain(message);
    expect(said).not.toMatch(/\n|hush/);
  });

  it.each([
    [
      'images',
      'quay.io/a/b: r.io/b\nnginx: [r.io/n]\n',
      'an images file, and not an auth file — give it with --images',
    ],
    [
      'rules',
      'version: 1\nrules: [{from: a, to: r.io/a}]\n',
      'tranship.yaml, and not an auth file — give it with --rules',
    ],
    ['config', 'auth: {r.io: {username: u, password: hush}}\nimages: {a: r.io/a}\n', 'give it with --config'],
    ['webhooks', 'hub: {dialect: plain, token: hush}\n', 'give it with --webhooks'],
    ['Docker', '{"auths":{"r.io":{"auth":"c2VjcmV0"}},"credHelpers":{}}', "Docker's config.json"],
    [
      'regsync',
      'sync: [{source: a, target: b}]\ncreds: []\n',
      'a file of regsync, and not an auth file — write registry:',
    ],
    ['SOPS', 'r.io: {username: u, password: "ENC[AES256_GCM,data:x]"}\nsops: {mac: x}\n', 'decrypt it first'],
  ])('of %s given as logins is one error too', (_, text, message) => {
    const said = refusal(() => auth(text));
    expect(said).toContain(message);
    expect(said).not.toMatch(/\n|hush|c2Vj/);
  });

  it('is not seen in images that are called like its keys', () => {
    const names = [
      'services',
      'sync',
      'relay',
      'tasks',
      'target',
      'auths',
      'sops',
      'images',
      'rules',
      'version',
      'src_registry',
    ];
    expect(load(names.map((name) => `${name}: r.io/${name}`).join('\n')).rules.map(({ id }) => id)).toEqual(names);
  });
});

describe('a text that is neither YAML nor JSON', () => {
  it.each([
    ['a: r.io/a\n<<<<<<< HEAD\nb: r.io/b\n=======\nb: r.io/c\n>>>>>>> x\n', 'f:2:1: this is a conflict marker of git'],
    ['<!DOCTYPE html>\n<html><body>Sign in</body></html>\n', 'f:1:1: this is an HTML or XML page'],
    ['# base\nFROM nginx:1.25\nRUN echo hi\nCMD ["a"]\n', 'f:2:1: this is a Dockerfile'],
    ['$ANSIBLE_VAULT;1.1;AES256\n6162\n6364\n', 'f:1:1: this is encrypted by Ansible Vault'],
    ['-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n', 'f:1:1: this is PEM text'],
    ['{% for i in images %}\n{{ i }}: r.io/{{ i }}\n{% endfor %}\n', 'f:1:1: this is a template'],
    ['[[registry]]\nlocation = "a"\n', 'f:1:1: this is TOML or INI'],
    [
      'nginx:r.io/nginx\nredis:r.io/redis\n',
      'f:1:1: there is no blank after the colon — write it as source: destination',
    ],
    ['a: r.io/a\n127.0.0.1:5000/b:r.io/b\nc: r.io/c\n', 'f:2:1: there is no blank after the colon'],
    ['nginx:\u00a0r.io/nginx\n', 'f:1:7: there is a non-breaking space (U+00A0) here — take it out'],
    ['a:\n\u3000\u3000- r.io/a\nb: c\n', 'f:2:1: there is an ideographic space (U+3000) here'],
    ['nginx：r.io/nginx\n', 'f:1:6: there is ： (U+FF1A) here — write :'],
    ['a:\n\t- r.io/b\n', 'f:2:1: a tab stands where YAML wants blanks — indent with blanks, not with tabs'],
    [
      '{\n  // why\n  "a": "r.io/a"\n}',
      'f:2:3: JSON has no comments with // — take the comment out, or begin it with #',
    ],
    ['{\n  "a": "r.io/a", /* why */\n  "b": "http://b"\n}', 'f:2:18: JSON has no comments with /*'],
    ['nginx:1.25\nredis:7\n', 'f:1:1: there is no destination on this line — write it as source: destination'],
    ['a:1: r.io/a\nredis:7 # cache\n', 'f:2:1: there is no destination on this line'],
    ['a:1: r.io/a\nquay.io/b/c\nd:1: r.io/d\n', 'f:2:1: there is no destination on this line'],
    ['{"a": "r.io/a"}}', 'f:1:16: there is one } too many, here or before — take it out'],
    ['a: "{{ .Registry }}/x"', 'it is a template that was not filled in — render it, and give the result'],
    [
      `a: \${{ env.REGISTRY }}/x`,
      `this is a template that was not filled in — GitHub fills it in within a workflow only`,
    ],
  ])('%j is told as what it is', (text, message) => {
    expect(refusal(() => load(text))).toContain(message);
    expect(refusal(() => load(text))).not.toContain('\n');
  });

  it.each([
    ['JSON with a comma too many, or with #', '{"a": "r.io/a", # why\n"b": "r.io/b",}'],
    ['single quotes', "{'a': 'r.io/a', 'b': 'r.io/b'}"],
    ['carriage returns, and comments in any script', '# 镜像：“同步”\r\na: r.io/a # für\u00a0uns\r\nb: r.io/b\r\n'],
    ['slashes in JSON', '{"a": "r.io/a", "b:/^v//": "r.io/b"}'],
    ['an empty document in front', '---\n# head\n---\na: r.io/a\nb: r.io/b\n'],
  ])('is not seen in %s', (_, text) => {
    expect(load(text)).toMatchObject({ rules: [{}, {}], warnings: [] });
  });
});

describe('names with characters that no name has', () => {
  it.each([
    [
      'nginx\u200b: r.io/nginx',
      'f:1:1: "nginx<U+200B>" is not a valid reference: it has a zero-width space (U+200B) in it — take it out',
    ],
    [
      'nginx: r.io/\u00a0nginx',
      'f:1:8: "r.io/<U+00A0>nginx" is not a valid reference: it has a non-breaking space (U+00A0) in it — take it out',
    ],
    ['"nginx ": r.io/nginx', '"nginx " is not a valid reference: it has a blank in it — take the blank out'],
    ['“nginx”: r.io/nginx', 'it has “ (U+201C) in it — write "'],
    ['nginx：1: r.io/nginx', 'it has ： (U+FF1A) in it — write :'],
    ['nginx:v1，v2: r.io/nginx', 'it has ， (U+FF0C) in it — write ,'],
    ['"nginx:v1,v2\u200b": r.io/nginx', 'it has a zero-width space (U+200B) in it'],
    ['nginx: r.io/kube–proxy', 'it has – (U+2013) in it — write -'],
    ['nginx: r.io/nginх', 'it has х (U+0445) in it — write it in ASCII'],
    ['a\u202eb: r.io/a', 'it has a character that cannot be seen (U+202E) in it'],
    [
      'version: 1\nrules: [{from: a, to: b, tags: ["1.0\u200b"]}]',
      '"1.0<U+200B>" is not a tag: it has a zero-width space',
    ],
    [
      'version: 1\nrules: [{from: a, to: b, tags: "1.*\u00a0"}]',
      'the pattern "1.*<U+00A0>" cannot be used: it has a non-breaking',
    ],
  ])('%j are told by their code', (text, message) => {
    expect(refusal(() => load(text))).toContain(message);
  });

  it('are told in the registry of a login', () => {
    expect(refusal(() => auth('"quay.io\u200b": {}'))).toContain('"quay.io<U+200B>" is not a registry');
  });

  it('are told where a variable brings them in', () => {
    const read = () => loadRules('a: $HOST/a', { file: 'f', env: { HOST: 'r.io\r' } });
    expect(refusal(read)).toContain('it has a carriage return (U+000D) in it');
  });

  it.each([
    ['https://quay.io/a/b:v1', 'leave https:// out'],
    ['docker://nginx', 'leave docker:// out'],
    ['oci://r.io/chart', 'leave oci:// out'],
  ])('%s is told as a URL, as source and as destination', (name, mend) => {
    expect(refusal(() => load(`${name}: r.io/x`))).toContain(`it is a URL — ${mend}`);
    expect(refusal(() => load(`a: ${name}`))).toContain(`it is a URL — ${mend}`);
  });

  it.each([
    'oci:/tmp/x',
    'oci:x:latest',
    'oci-archive:/tmp/x.tar',
    'dir:./x',
    'docker-archive:/tmp/x.tar:a:1',
    'docker-daemon:alpine:3',
    'containers-storage:alpine:3',
    'ocidir://x',
    'file:///tmp/x',
  ])('%s is told as a place on this machine', (name) => {
    expect(refusal(() => load(`"${name}": r.io/x`))).toContain('it is on this machine — name an image of a registry');
    expect(refusal(() => load(`a: "${name}"`))).toContain('it is on this machine');
  });

  it('are images that are called like such places', () => {
    const text = 'oci:v1: r.io/oci\ndir:/v1/: r.io/dir\noci:5000/x: r.io/x\ndir: oci:80/dir\n';
    expect(load(text).rules.map(({ from }) => from.repository)).toEqual([
      'library/oci',
      'library/dir',
      'x',
      'library/dir',
    ]);
  });
});

describe('values that YAML takes for something else', () => {
  it('are tags as they are written', () => {
    const { rules } = load(
      'version: 1\nrules: [{from: a, to: b, tags: [1.10, on, no, 0x10, 1e3, 010, 1_0, 2024-01-01, "~"]}]'.replace(
        '"~"',
        '1.0',
      ),
    );
    expect(rules[0]?.select).toMatchObject({
      tags: ['1.10', 'on', 'no', '0x10', '1e3', '010', '1_0', '2024-01-01', '1.0'],
    });
  });

  it('are asked to be put in quotes', () => {
    expect(refusal(() => load('version: 1\nrules: [{from: a, to: b, tags: [true]}]'))).toContain(
      'item 1 of tags must be text or a number, and is the boolean true — put it in quotes',
    );
  });
});
