import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage, pushIndex, pushMultiArch } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';
import { pushForeignLayerImage } from '../support/images.ts';

const denied = { kind: 'answer', status: 403, body: '{"errors":[{"code":"DENIED"}]}' } as const;

describe('what a destination has, lacks and takes', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let third: EmbeddedRegistry;
  let front: FaultyRegistry;
  let place: Workplace;

  beforeAll(async () => {
    [source, destination, third] = await Promise.all([startRegistry(), startRegistry(), startRegistry()]);
    front = await startFaultyRegistry({ upstream: third.url });
    place = openWorkplace([source, destination, third, front].map(({ host }) => host));
  });
  afterAll(async () => {
    place.remove();
    await front.close();
    await Promise.all([source, destination, third].map((registry) => registry.close()));
  });
  beforeEach(() => {
    front.setFaults([]);
    for (const registry of [source, destination, third, front]) registry.requests.length = 0;
  });

  async function sync(rules: Record<string, string | string[]>, flags = ['--retries', '0']) {
    place.write('images.json', JSON.stringify(rules));
    const ended = await place.run(['sync', '--images', 'images.json', '--json', ...flags]);
    const lines = jsonLines(ended.stdout);
    return { ...ended, outcomes: lines.filter((line) => line.type === 'outcome'), run: lines.at(-1) };
  }

  function wipe(registry: EmbeddedRegistry, repository: string) {
    for (const { digest, bytes } of [...registry.content.manifests(repository)]) {
      const { config, layers = [] } = JSON.parse(String(bytes));
      for (const blob of [config, ...layers]) if (blob) registry.content.deleteBlob(repository, blob.digest);
      registry.content.deleteManifest(repository, digest);
    }
  }

  it('gets a nested index again in the same run where all of it was collected since', async () => {
    const at = { url: source.url, repository: 'deep/app' };
    const platforms = ['linux/amd64', 'linux/arm64'];
    const inner = await pushMultiArch(at, { seed: 'deep', platforms });
    await pushIndex(at, { tag: 'v1', entries: [{ manifest: inner }] });
    const rules = { [`${source.host}/deep/app:v1`]: `${destination.host}/deep/app` };
    expect((await sync(rules)).code).toBe(0);
    wipe(destination, 'deep/app');
    expect(destination.content.tags('deep/app')).toEqual([]);

    const again = await sync(rules);
    expect(again.run).toMatchObject({ copied: 1, failed: 0 });
    expect(again.code).toBe(0);
    expect(destination.content.manifest('deep/app', 'v1')?.bytes).toEqual(
      source.content.manifest('deep/app', 'v1')?.bytes,
    );
    expect(destination.content.manifests('deep/app')).toHaveLength(4);
  });

  it('gets blobs of another repository of its registry by mount, in later runs too', async () => {
    const base = { seed: 'mounted base', bytes: 300_000 };
    await pushImage({ url: source.url, repository: 'mount/one' }, { seed: 'm1', tag: 'v1', layers: [base] });
    const two = await pushImage(
      { url: source.url, repository: 'mount/two' },
      { seed: 'm2', tag: 'v1', layers: [base] },
    );
    expect((await sync({ [`${source.host}/mount/one`]: `${destination.host}/mount/one` })).code).toBe(0);
    source.requests.length = 0;
    destination.requests.length = 0;
    const { code, outcomes } = await sync({ [`${source.host}/mount/two`]: `${destination.host}/mount/two` });
    expect(code).toBe(0);
    expect(outcomes[0]).toMatchObject({ result: 'copied', mounted: 1, bytes: two.config.size });
    expect(source.count('get blob')).toBe(1);
    expect(destination.count('finish upload')).toBe(1);
    const mount = destination.requests.find(({ path }) => path.includes('mount='));
    expect(mount).toMatchObject({ status: 201, repository: 'mount/two' });
  });

  it('moves no bytes between two repositories of one registry', async () => {
    await pushImage({ url: source.url, repository: 'here/app' }, { seed: 'here', tag: 'v1' });
    source.requests.length = 0;
    const { outcomes } = await sync({ [`${source.host}/here/app`]: `${source.host}/there/app` });
    expect(outcomes[0]).toMatchObject({ result: 'copied', mounted: 2, bytes: 0 });
    expect(source.count('get blob', 'write upload', 'finish upload')).toBe(0);
    expect(source.content.tags('there/app')).toEqual(['v1']);
  });

  it('is asked once for a blob that many tags of a repository share', async () => {
    const at = { url: source.url, repository: 'shared/app' };
    const base = { seed: 'asked once', bytes: 300_000 };
    const tags = ['a', 'b', 'c', 'd', 'e', 'f'];
    let digest = '';
    for (const tag of tags) {
      const { layers } = await pushImage(at, { seed: tag, tag, layers: [base] });
      digest = layers[0]?.digest ?? '';
    }
    expect((await sync({ [`${source.host}/shared/app`]: `${destination.host}/shared/app` })).code).toBe(0);
    const asked = destination.requests.filter(({ path }) => path.includes(digest.slice('sha256:'.length)));
    expect(asked.map(({ operation }) => operation)).toEqual(['head blob', 'finish upload']);
  });

  it('costs no more for a subset in step, or for an image of another platform, than for any tag', async () => {
    const at = { url: source.url, repository: 'some/app' };
    const { images } = await pushMultiArch(at, {
      seed: 'some',
      tag: 'multi',
      platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'],
    });
    await pushImage(at, { seed: 'other', tag: 'other', platform: { os: 'windows', architecture: 'amd64' } });
    const rules = { [`${source.host}/some/app`]: `${destination.host}/some/app` };
    const flags = ['--os', 'linux', '--arch', 'arm64,arm:v7'];
    source.requests.length = 0;
    const first = await sync(rules, flags);
    expect(first.run).toMatchObject({ copied: 1, unchanged: 1, failed: 0 });
    expect(destination.content.tags('some/app')).toEqual(['multi']);
    // What is left out is not even read.
    const left = images[0];
    const digests = [left?.digest, left?.config.digest, left?.layers[0]?.digest].map((digest) => digest?.slice(7));
    const all = [...source.requests, ...destination.requests].map(({ path }) => path);
    expect(all.filter((path) => digests.some((digest) => path.includes(digest ?? '-')))).toEqual([]);

    source.requests.length = 0;
    destination.requests.length = 0;
    const second = await sync(rules, flags);
    expect(second.run).toMatchObject({ copied: 0, unchanged: 2 });
    expect(source.count('head manifest')).toBe(2);
    expect(source.count()).toBe(2 + source.count('ping', 'list tags'));
    expect(destination.count()).toBe(destination.count('ping', 'list tags'));

    // Another filter is another wish.
    expect((await sync(rules, ['--os', 'windows'])).run).toMatchObject({ copied: 1 });
    expect(destination.content.tags('some/app')).toEqual(['multi', 'other']);
  });

  it('does not suffer from another destination that fails', async () => {
    await pushImage(
      { url: source.url, repository: 'both/app' },
      { seed: 'both', tag: 'v1', layers: [{ seed: 'both', bytes: 2_000_000 }] },
    );
    front.setFaults([{ when: { method: 'PUT', path: /uploads/ }, effect: denied }]);
    source.requests.length = 0;
    const rules = {
      [`${source.host}/both/app`]: [`${front.host}/both/app`, `${destination.host}/both/app`],
    };
    const { code, outcomes, run } = await sync(rules, ['--retries', '2']);
    expect(code).toBe(1);
    expect(run).toMatchObject({ copied: 1, failed: 1 });
    expect(outcomes.find(({ result }) => result === 'failed')).toMatchObject({
      destination: `${front.host}/both/app:v1`,
      failure: { class: 'permanent', registry: front.host },
    });
    expect(source.count('get blob')).toBe(2);
    expect(destination.content.tags('both/app')).toEqual(['v1']);
    expect(third.content.has('both/app') ? third.content.tags('both/app') : []).toEqual([]);

    front.setFaults([]);
    expect((await sync(rules)).run).toMatchObject({ copied: 1, unchanged: 1 });
  });

  it('sets the pace: the source is not read on while one of two takes nothing', async () => {
    const layerBytes = 48 * 2 ** 20;
    const { digest, size } = source.content.addGeneratedBlob('pace/app', 'pace', layerBytes);
    await pushGenerated('pace/app', { digest, size });
    front.setFaults([{ when: { method: 'PATCH' }, effect: { kind: 'stall-request', afterBytes: 1000 } }]);
    place.write(
      'pace.json',
      JSON.stringify({ [`${source.host}/pace/app`]: [`${front.host}/pace/app`, `${destination.host}/pace/app`] }),
    );
    const { child, ended } = place.start(['sync', '--images', 'pace.json']);
    const sent = () => source.requests.find(({ path }) => path.includes(digest))?.blobBytes ?? 0;
    const taken = () => Math.max(0, ...destination.requests.map(({ blobBytes }) => blobBytes));
    await expect.poll(taken).toBeGreaterThan(0);
    await expect
      .poll(
        async () => {
          const before = taken() + sent();
          await new Promise((resolve) => setTimeout(resolve, 200));
          return taken() + sent() - before;
        },
        { timeout: 20_000 },
      )
      .toBe(0);
    // What the sockets of three processes hold on the way, and no more.
    expect(sent()).toBeLessThan(layerBytes / 2);
    expect(taken()).toBeLessThan(layerBytes / 2);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(143);
  });

  it('never has a foreign layer asked for, neither here nor where its address leads', async () => {
    const far = await startFaultyRegistry({ upstream: source.url });
    const { foreign } = await pushForeignLayerImage(
      { url: source.url, repository: 'win/app' },
      { seed: 'win', url: `${far.url}/layer`, tag: 'v1' },
    );
    source.requests.length = 0;
    const { code, outcomes } = await sync({ [`${source.host}/win/app`]: `${destination.host}/win/app` });
    await far.close();
    expect(code).toBe(0);
    expect(outcomes[0]).toMatchObject({ result: 'copied' });
    expect(far.requests).toEqual([]);
    const all = [...source.requests, ...destination.requests];
    expect(all.filter(({ path }) => path.includes(foreign.digest))).toEqual([]);
  });

  /** An image of one layer that is in the repository already, and of no kind that anything would unpack. */
  async function pushGenerated(repository: string, layer: { digest: string; size: number }) {
    const image = await pushImage({ url: source.url, repository }, { seed: repository, layers: [] });
    const manifest = {
      ...JSON.parse(String(image.bytes)),
      layers: [{ mediaType: 'application/octet-stream', ...layer }],
    };
    source.content.putManifest(repository, 'v1', image.mediaType, Buffer.from(JSON.stringify(manifest)));
  }
});
