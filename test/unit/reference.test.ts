import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import {
  formatRepository,
  formatTarget,
  isDigest,
  isRegistryName,
  isRepositoryName,
  isTag,
  parseDigest,
  parseReference,
  parseRepository,
  parseTarget,
  type Reference,
} from '../../core/model/reference.ts';

const sha256 = `sha256:${'0123456789abcdef'.repeat(4)}`;
const sha512 = `sha512:${'0123456789abcdef'.repeat(8)}`;

describe('parseReference', () => {
  it.each<[string, Reference]>([
    ['nginx', { registry: 'docker.io', repository: 'library/nginx' }],
    ['nginx:1.25', { registry: 'docker.io', repository: 'library/nginx', tag: '1.25' }],
    ['docker.io/nginx', { registry: 'docker.io', repository: 'library/nginx' }],
    ['index.docker.io/nginx', { registry: 'docker.io', repository: 'library/nginx' }],
    ['registry-1.docker.io/library/nginx', { registry: 'docker.io', repository: 'library/nginx' }],
    ['registry.hub.docker.com/library/nginx', { registry: 'docker.io', repository: 'library/nginx' }],
    ['hub.docker.com/nginx', { registry: 'docker.io', repository: 'library/nginx' }],
    ['bitnami/redis', { registry: 'docker.io', repository: 'bitnami/redis' }],
    ['localhost/app', { registry: 'localhost', repository: 'app' }],
    ['localhost:5000/app:v1', { registry: 'localhost:5000', repository: 'app', tag: 'v1' }],
    ['registry:5000/app', { registry: 'registry:5000', repository: 'app' }],
    ['127.0.0.1:300/library/nginx:v1', { registry: '127.0.0.1:300', repository: 'library/nginx', tag: 'v1' }],
    ['[::1]:5000/app:v1', { registry: '[::1]:5000', repository: 'app', tag: 'v1' }],
    ['[2001:DB8::1]/a/b', { registry: '[2001:db8::1]', repository: 'a/b' }],
    ['Quay.IO/coreos/etcd', { registry: 'quay.io', repository: 'coreos/etcd' }],
    ['gcr.io/k/github.com/k/b:v1', { registry: 'gcr.io', repository: 'k/github.com/k/b', tag: 'v1' }],
    [`quay.io/a/b@${sha256}`, { registry: 'quay.io', repository: 'a/b', digest: sha256 }],
    [`quay.io/a/b:v1@${sha512}`, { registry: 'quay.io', repository: 'a/b', tag: 'v1', digest: sha512 }],
    ['a__b/c-d/e---f:_x', { registry: 'docker.io', repository: 'a__b/c-d/e---f', tag: '_x' }],
  ])('%s', (text, expected) => {
    expect(parseReference(text)).toEqual(expected);
  });

  it.each([
    ['ghcr.io', 'ghcr.io/REPOSITORY'],
    ['quay.io:latest', 'quay.io/REPOSITORY'],
    ['localhost', 'localhost/REPOSITORY'],
    ['localhost:5000', 'localhost:5000/REPOSITORY'],
    ['10.0.0.7:443', '10.0.0.7:443/REPOSITORY'],
    ['Registry.Corp.example:5000', 'Registry.Corp.example:5000/REPOSITORY'],
  ])('says that %s is a registry alone', (text, mend) => {
    const error = caught(() => parseReference(text));
    expect(error).toMatchObject({ code: 'config-invalid', mend: `write ${mend}` });
  });

  it.each([
    ['', /empty/],
    ['https://quay.io/a', /URL/],
    ['quay.io/a b', /blank/],
    ['quay.io/Foo/bar', /lower-case/],
    ['Foo/bar', /lower-case/],
    ['quay.io/', /not the name of a repository/],
    ['quay.io/a//b', /not the name of a repository/],
    ['quay.io/a/../b', /not the name of a repository/],
    ['quay.io/a?x=y', /not the name of a repository/],
    ['quay.io/-a', /not the name of a repository/],
    ['a___b', /not the name of a repository/],
    ['nginx:', /no tag after it/],
    ['nginx:.x', /not a tag/],
    ['nginx:v1,v2', /not a tag/],
    [`nginx:${'a'.repeat(129)}`, /longer than 128/],
    ['nginx@', /neither sha256 nor sha512/],
    ['nginx@md5:abc', /neither sha256 nor sha512/],
    ['nginx@sha256:abc', /has 3 characters where 64/],
    [`nginx@${sha256.toUpperCase()}`, /neither sha256/],
    [`nginx@sha256:${'G'.repeat(64)}`, /other than/],
    [`a@${sha256}@${sha256}`, /characters where 64/],
    ['host:0/a', /name of a registry/],
    ['host:65536/a', /name of a registry/],
    ['ho_st:5000/a', /name of a registry/],
    ['-host.x/a', /name of a registry/],
    ['user@host.io/a', /neither sha256/],
    ['[::1/a', /name of a registry/],
    ['[:::::]/a', /name of a registry/],
    ['[::1]', /not the name of a repository/],
    [`quay.io/${'a'.repeat(256)}`, /longer than 255/],
    ['x'.repeat(5000), /longer than/],
  ])('refuses %s', (text, what) => {
    expect(() => parseReference(text)).toThrow(what);
  });

  it('says how to write an upper-case repository', () => {
    expect(caught(() => parseReference('quay.io/Foo/Bar')).mend).toBe('write foo/bar');
  });

  it.each([
    ['https://hub.docker.com/_/alpine', 'docker.io/library/alpine'],
    ['hub.docker.com/r/grafana/grafana/tags?page=2', 'docker.io/grafana/grafana'],
    ['hub.docker.com/r/grafana/grafana:11.0', 'docker.io/grafana/grafana:11.0'],
    ['https://quay.io/repository/coreos/etcd?tab=tags', 'quay.io/coreos/etcd'],
    ['https://gallery.ecr.aws/nginx/nginx/', 'public.ecr.aws/nginx/nginx'],
  ])('says what image the page %s shows', (page, image) => {
    expect(caught(() => parseReference(page)).mend).toBe(`write ${image}`);
  });

  it('reads back what it formats', () => {
    fc.assert(
      fc.property(
        registries,
        repositories,
        tags,
        fc.constantFrom(undefined, sha256, sha512),
        (reg, repo, tag, digest) => {
          const text = `${reg}/${repo}:${tag}${digest === undefined ? '' : `@${digest}`}`;
          const once = parseReference(text);
          const target =
            digest === undefined ? { registry: once.registry, repository: once.repository, tag } : undefined;
          if (target) expect(parseTarget(formatTarget(target))).toEqual(target);
          expect(parseRepository(formatRepository(once))).toEqual({
            registry: once.registry,
            repository: once.repository,
          });
          expect(once.tag).toBe(tag);
          expect(once.digest).toBe(digest);
        },
      ),
    );
  });

  it('throws nothing but a configuration error, and accepts only what its parts accept', () => {
    const odd = fc.string({ unit: fc.constantFrom(...'aZ0.:/@-_[]*, \n'), maxLength: 40 });
    fc.assert(
      fc.property(fc.oneof(fc.string(), odd), (text) => {
        try {
          const reference = parseReference(text);
          expect(isRegistryName(reference.registry)).toBe(true);
          expect(isRepositoryName(reference.repository)).toBe(true);
          if (reference.tag !== undefined) expect(isTag(reference.tag)).toBe(true);
          expect(parseRepository(formatRepository(reference))).toMatchObject({ registry: reference.registry });
        } catch (error) {
          if (!(error instanceof TranshipError)) throw error;
          expect(error.class).toBe('configuration');
          expect(error.message.length).toBeLessThan(500);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives up early on long hostile text', () => {
    for (const unit of ['a-', 'a.', '[', ':', 'a_', '/a']) {
      expect(() => parseReference(unit.repeat(500_000))).toThrow(/longer than/);
      isRepositoryName(unit.repeat(120));
      isRegistryName(unit.repeat(120));
    }
  });
});

describe('targets and repositories', () => {
  it('puts latest in only for a target', () => {
    expect(parseTarget('nginx')).toEqual({ registry: 'docker.io', repository: 'library/nginx', tag: 'latest' });
    expect(parseTarget(`nginx:v1@${sha256}`)).toEqual({
      registry: 'docker.io',
      repository: 'library/nginx',
      digest: sha256,
    });
  });

  it('has one key for all spellings of one image', () => {
    const spellings = ['nginx:v1', 'docker.io/nginx:v1', 'INDEX.docker.io/library/nginx:v1', 'library/nginx:v1'];
    expect(new Set(spellings.map((text) => formatTarget(parseTarget(text))))).toEqual(
      new Set(['docker.io/library/nginx:v1']),
    );
    expect(formatTarget(parseTarget(`a.io/b@${sha256}`))).toBe(`a.io/b@${sha256}`);
  });

  it('refuses a tag or digest on a repository', () => {
    expect(() => parseRepository('nginx:v1')).toThrow(/not a single tag/);
    expect(() => parseRepository(`nginx@${sha256}`)).toThrow(/not a single digest/);
  });
});

describe('digests', () => {
  it('takes sha256 and sha512 in lower case', () => {
    expect(parseDigest(sha512)).toEqual({ algorithm: 'sha512', hex: sha512.slice(7) });
    expect(parseDigest(sha256).algorithm).toBe('sha256');
    expect(isDigest(`${sha256}0`)).toBe(false);
    expect(isDigest(`x${sha256}`)).toBe(false);
    expect(isDigest(`${sha256}\n`)).toBe(false);
    expect(isTag('v1\n')).toBe(false);
    expect(() => parseDigest('sha256:../../x')).toThrow(/hex digits/);
  });
});

const label = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const registries = fc.oneof(
  label.map((name) => `${name}.example.com`),
  fc.tuple(label, fc.integer({ min: 1, max: 65_535 })).map(([name, port]) => `${name}:${port}`),
  fc.constantFrom('docker.io', 'localhost', '[::1]:5000', '127.0.0.1:5000'),
);
const repositories = fc
  .array(fc.stringMatching(/^[a-z0-9]{1,6}(?:(?:[._]|__|-{1,3})[a-z0-9]{1,6}){0,2}$/), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'));
const tags = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/);

function caught(step: () => unknown): TranshipError {
  try {
    step();
  } catch (error) {
    if (error instanceof TranshipError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
