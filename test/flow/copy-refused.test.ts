import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OCI_MANIFEST } from '../../core/model/media-types.ts';
import { pushImage, pushIndex, pushMultiArch } from '../../testing/images.ts';
import { pushManifest } from '../../testing/push.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { serverError, throttled, unauthorized } from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';

describe('copies that registries refuse, put off or send elsewhere', () => {
  let behind: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let bucket: FaultyRegistry;
  let source: FaultyRegistry;
  let front: FaultyRegistry;
  let place: Workplace;
  let counter = 0;
  let repository = '';

  beforeAll(async () => {
    [behind, destination] = await Promise.all([startRegistry(), startRegistry()]);
    source = await startFaultyRegistry({ upstream: behind.url });
    front = await startFaultyRegistry({ upstream: destination.url });
    bucket = await startFaultyRegistry({ upstream: behind.url });
    place = openWorkplace();
    const login = '{ insecure: true, username: reader, password: hunter2 }';
    place.write('auth.yaml', `${source.host}: ${login}\n${front.host}: ${login}\n`);
  });
  afterAll(async () => {
    place.remove();
    await Promise.all([source, front, bucket, behind, destination].map((one) => one.close()));
  });
  beforeEach(() => {
    counter += 1;
    repository = `team/app${counter}`;
    for (const registry of [source, front, bucket]) {
      registry.setFaults([]);
      registry.requests.length = 0;
    }
  });

  const from = () => ({ url: behind.url, repository });
  const tagsThere = () => (destination.content.has(repository) ? destination.content.tags(repository) : []);

  async function sync(flags = ['--retries', '0']) {
    place.write('images.yaml', `${source.host}/${repository}: ${front.host}/${repository}\n`);
    const ended = await place.run(['sync', '--json', ...flags]);
    const lines = jsonLines(ended.stdout);
    return { ...ended, lines, outcome: lines.findLast((line) => line.type === 'outcome'), run: lines.at(-1) };
  }

  it('leaves no tag where one image of an index is not what it should be', async () => {
    const { images } = await pushMultiArch(from(), { seed: repository, tag: 'v1', platforms: ['linux/a', 'linux/b'] });
    const path = new RegExp(`manifests/${images[1]?.digest}`);
    source.setFaults([{ when: { method: 'GET', path }, effect: { kind: 'flip', offset: 30 } }]);
    const { code, outcome } = await sync();
    expect(code).toBe(1);
    expect(outcome).toMatchObject({ result: 'failed', failure: { code: 'digest-mismatch', registry: source.host } });
    expect(tagsThere()).toEqual([]);
    const status = await place.run(['status', '--json']);
    expect(status.code).toBe(1);
    source.setFaults([]);
    expect((await sync()).run).toMatchObject({ copied: 1, unchanged: 0 });
  });

  it.each([
    ['another byte', 'digest-mismatch', { kind: 'flip', offset: 20 }],
    ['another length', 'size-mismatch', { kind: 'resize', bytes: 5 }],
    ['no end', 'network', { kind: 'cut', afterBytes: 0 }],
  ] as const)('reads no platform from a configuration with %s', async (_what, code, effect) => {
    const { config } = await pushImage(from(), { seed: repository, tag: 'v1', layers: [] });
    source.setFaults([{ when: { method: 'GET', path: new RegExp(config.digest) }, effect }]);
    const { outcome } = await sync(['--retries', '0', '--arch', 'arm64']);
    expect(outcome).toMatchObject({ result: 'failed', failure: { class: 'transient', code, registry: source.host } });
    expect(tagsThere()).toEqual([]);
    source.setFaults([]);
    expect((await sync(['--arch', 'arm64'])).outcome).toMatchObject({ result: 'unchanged' });
  });

  it.each([412, 451, 500, 501])(
    'copies to a tag that the destination answers with %i when it is read',
    async (status) => {
      await pushImage(from(), { seed: repository, tag: 'v1', layers: [] });
      const reads = { method: ['GET', 'HEAD'], path: /manifests/ };
      front.setFaults([{ when: reads, effect: { kind: 'answer', status } }]);
      const { code, outcome } = await sync();
      expect(outcome).toMatchObject({ result: 'copied' });
      expect(code).toBe(0);
      expect(tagsThere()).toEqual(['v1']);
    },
  );

  it('takes no manifest that is an index to one reader and an image to another', async () => {
    const image = await pushImage(from(), { seed: repository, layers: [] });
    const both = { ...JSON.parse(String(image.bytes)), manifests: [] };
    await pushManifest(from(), OCI_MANIFEST, both, { tag: 'v1' });
    const { code, outcome } = await sync(['--retries', '2']);
    expect(code).toBe(1);
    expect(outcome).toMatchObject({
      result: 'failed',
      failure: { class: 'permanent', code: 'bad-manifest', registry: source.host, repository },
    });
    expect(tagsThere()).toEqual([]);
  });

  it('goes down an index in indexes only so far', async () => {
    const image = await pushImage(from(), { seed: repository, layers: [] });
    let index = await pushIndex(from(), { entries: [{ manifest: image }] });
    for (let level = 2; level <= 8; level += 1) {
      const tag = level === 8 ? { tag: 'v1' } : {};
      index = await pushIndex(from(), { entries: [{ manifest: index }], ...tag });
    }
    const { code, outcome } = await sync();
    expect(code).toBe(1);
    expect(outcome).toMatchObject({ failure: { class: 'permanent', code: 'limit-exceeded', registry: source.host } });
    expect(tagsThere()).toEqual([]);
  });

  it('asks a registry that knows nobody a few times, not again and again', async () => {
    await pushImage(from(), { seed: repository, tag: 'v1' });
    front.setFaults([{ when: { method: ['POST', 'PATCH', 'PUT'] }, effect: unauthorized() }]);
    const { outcome, lines } = await sync(['--retries', '5']);
    expect(outcome).toMatchObject({ failure: { class: 'permanent', code: 'unauthorized', registry: front.host } });
    expect(lines.filter((line) => line.type === 'retry')).toEqual([]);
    // Two blobs, each with and without a login.
    expect(front.requests.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(4);
    expect(tagsThere()).toEqual([]);
  });

  it.each([
    ['source', () => source, /\/blobs\/sha256:/],
    ['destination', () => front, /\/blobs\/uploads\//],
  ])('puts a tag off where its %s wants an hour, and --max-wait does not', async (_what, registry, path) => {
    await pushImage(from(), { seed: repository, tag: 'v1' });
    registry().setFaults([{ when: { path }, effect: throttled(3600) }]);
    const state = ['--state', `hasty-${repository.replace('/', '-')}`];
    const { code, outcome, run } = await sync(['--max-wait', '1s', ...state]);
    expect(code).toBe(1);
    expect(outcome).toMatchObject({
      result: 'deferred',
      failure: { class: 'throttled', registry: registry().host, retryAt: expect.anything() },
    });
    expect(run).toMatchObject({ copied: 0, deferred: 1 });
    expect(tagsThere()).toEqual([]);
    // It is left alone: at most what was on its way already.
    expect(registry().requests.filter(({ status }) => status === 429).length).toBeLessThanOrEqual(2);
  });

  it('retries a request that fails at one place only, and writes no tag', async () => {
    await pushImage(from(), { seed: repository, tag: 'v1', layers: [] });
    front.setFaults([{ when: { method: 'POST' }, effect: serverError(500) }]);
    const { code, outcome } = await sync();
    expect(code).toBe(1);
    expect(outcome).toMatchObject({ failure: { class: 'transient', registry: front.host } });
    expect(front.find('POST', /uploads/)).toHaveLength(4);
    expect(front.find('PUT', /manifests/)).toEqual([]);
    expect(tagsThere()).toEqual([]);
  });

  it('follows a registry to where it keeps its blobs, without the login', async () => {
    const large = { seed: repository, bytes: 300_000 };
    const { layers } = await pushImage(from(), { seed: repository, tag: 'v1', layers: [large] });
    const when = { method: 'GET', path: /\/blobs\/sha256:/ };
    source.setFaults([{ when, effect: { kind: 'redirect', to: (url) => `${bucket.url}${url}?signature=abc` } }]);
    // Breaks off there once: the rest is asked for at the registry again, whose address for it may be another.
    bucket.setFaults([
      { when: { path: new RegExp(`${layers[0]?.digest}`), hit: 1 }, effect: { kind: 'cut', afterBytes: 500 } },
    ]);
    expect((await sync()).code).toBe(0);
    expect(tagsThere()).toEqual(['v1']);
    expect(bucket.requests).toHaveLength(3);
    for (const { headers } of bucket.requests) expect(headers.authorization).toBeUndefined();
    expect(bucket.requests.map(({ headers }) => headers.range)).toContain('bytes=500-');
    expect(source.find('GET', when.path)).toHaveLength(3);
  });

  it('outlives many failures of both sides, seeded', async () => {
    const base = { seed: `${repository} base`, bytes: 100_000 };
    const tags = Array.from({ length: 12 }, (_, index) => `v${index + 10}`);
    for (const tag of tags)
      await pushImage(from(), {
        seed: `${repository} ${tag}`,
        tag,
        layers: [base, { seed: `${repository}${tag}`, bytes: 5000 }],
      });
    const tenth = { probability: 0.1 };
    source.setFaults([
      { when: tenth, effect: serverError(500) },
      { when: { ...tenth, method: 'GET', path: /blobs/ }, effect: { kind: 'cut', afterBytes: 700 } },
    ]);
    front.setFaults([
      { when: tenth, effect: serverError(502) },
      { when: { ...tenth, method: 'PATCH' }, effect: { kind: 'cut-request', afterBytes: 100 } },
      { when: { ...tenth, method: 'PUT' }, effect: { kind: 'cut', afterBytes: 0 } },
    ]);
    const { code, run } = await sync(['--retries', '4']);
    expect(run).toMatchObject({ copied: tags.length, failed: 0 });
    expect(code).toBe(0);
    expect(tagsThere()).toEqual(tags);
    for (const tag of tags) {
      expect(destination.content.manifest(repository, tag)?.digest).toBe(
        behind.content.manifest(repository, tag)?.digest,
      );
    }
  });
});
