import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage, pushIndex, pushMultiArch } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { type Distribution, startDistribution } from '../support/distribution.ts';
import {
  pushArtifact,
  pushAttestedIndex,
  pushForeignLayerImage,
  pushSchema1,
  pushSha512Image,
} from '../support/images.ts';
import { inspectDigest, toolsReady } from '../support/tools.ts';

describe.skipIf(!toolsReady('docker-registry', 'skopeo'))('every kind of image, between real registries', () => {
  let source: Distribution;
  let destination: Distribution;
  let place: Workplace;
  const tags = [
    'docker',
    'list',
    'oci',
    'index',
    'nested',
    'bare',
    'attested',
    'artifact',
    'empty',
    'twice',
    'old',
    'far',
  ];

  beforeAll(async () => {
    [source, destination] = await Promise.all([startDistribution(), startDistribution()]);
    place = openWorkplace([source.host, destination.host]);
    const at = { url: source.url, repository: 'team/app' };
    await pushImage(at, { seed: 'docker', tag: 'docker', format: 'docker' });
    const platforms = ['linux/amd64', 'linux/arm64'];
    await pushMultiArch(at, { seed: 'list', tag: 'list', format: 'docker', platforms });
    const amd = await pushImage(at, { seed: 'oci', tag: 'oci' });
    const multi = await pushMultiArch(at, { seed: 'index', tag: 'index', platforms });
    await pushIndex(at, { tag: 'nested', entries: [{ manifest: multi }, { manifest: amd, platform: amd.platform }] });
    await pushIndex(at, { tag: 'bare', entries: [{ manifest: amd }] });
    await pushAttestedIndex(at, multi.images, { tag: 'attested' });
    await pushArtifact(at, { seed: 'artifact', tag: 'artifact', artifactType: 'application/vnd.example.thing' });
    await pushImage(at, { seed: 'empty', tag: 'empty', layers: [] });
    const layer = { seed: 'same', bytes: 3000 };
    await pushImage(at, { seed: 'twice', tag: 'twice', layers: [layer, layer] });
    await pushSchema1(at, { seed: 'old', tag: 'old' });
    await pushForeignLayerImage(at, { seed: 'far', url: 'https://layers.example/far', tag: 'far' });
  });
  afterAll(async () => {
    place.remove();
    await Promise.all([source.close(), destination.close()]);
  });

  it('arrives byte for byte, and the second run has nothing to do', async () => {
    place.write('images.yaml', `${source.host}/team/app: ${destination.host}/mirror/app\n`);
    const first = await place.run(['sync', '--json']);
    const outcomes = jsonLines(first.stdout).filter((line) => line.type === 'outcome');
    expect(outcomes.filter((line) => line.result !== 'copied')).toEqual([]);
    expect(outcomes).toHaveLength(tags.length);
    expect(first.code).toBe(0);
    for (const tag of tags) {
      const there = await inspectDigest(`${destination.host}/mirror/app:${tag}`);
      const here = await inspectDigest(`${source.host}/team/app:${tag}`);
      expect(there.digest, tag).toBe(here.digest);
      // A registry signs schema 1 anew for each reader; the digest is that of what is signed.
      if (tag !== 'old') expect(there.bytes.equals(here.bytes), tag).toBe(true);
    }
    const second = await place.run(['sync', '--json']);
    expect(second.code).toBe(0);
    expect(jsonLines(second.stdout).at(-1)).toMatchObject({ type: 'run', copied: 0, unchanged: tags.length });
  });

  it('keeps an index whole where the filter drops nothing, and makes a new one where it does', async () => {
    place.write('some.yaml', `${source.host}/team/app:index,attested,list,oci: ${destination.host}/subset/app\n`);
    const both = await place.run(['sync', '--images', 'some.yaml', '--arch', 'amd64,arm64', '--os', 'linux']);
    expect(both.code).toBe(0);
    const original = await inspectDigest(`${source.host}/team/app:index`);
    expect((await inspectDigest(`${destination.host}/subset/app:index`)).digest).toBe(original.digest);

    const one = await place.run(['sync', '--images', 'some.yaml', '--arch', 'arm64', '--json']);
    expect(one.code).toBe(0);
    const indexOf = async (tag: string) =>
      JSON.parse((await inspectDigest(`${destination.host}/subset/app:${tag}`)).bytes.toString()) as {
        manifests: Array<{ platform: { architecture: string }; annotations?: Record<string, string>; digest: string }>;
      };
    expect((await indexOf('index')).manifests.map((entry) => entry.platform.architecture)).toEqual(['arm64']);
    const attested = (await indexOf('attested')).manifests;
    expect(attested.map((entry) => entry.platform.architecture)).toEqual(['arm64', 'unknown']);
    expect(attested[1]?.annotations?.['vnd.docker.reference.digest']).toBe(attested[0]?.digest);
    const oci = jsonLines(one.stdout).find((line) => String(line.source).endsWith(':oci'));
    expect(oci).toMatchObject({ result: 'unchanged', note: 'no image for arch=arm64' });

    const again = await place.run(['sync', '--images', 'some.yaml', '--arch', 'arm64', '--json']);
    expect(jsonLines(again.stdout).at(-1)).toMatchObject({ copied: 0, unchanged: 4, bytes: 0 });
  });
});

describe('what only the embedded registry takes', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let place: Workplace;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    place = openWorkplace([source.host, destination.host]);
  });
  afterAll(async () => {
    place.remove();
    await Promise.all([source.close(), destination.close()]);
  });

  it('copies sha512 digests', async () => {
    await pushSha512Image({ url: source.url, repository: 'long/digest' }, { seed: 'sha512', tag: 'v1' });
    place.write('sha512.yaml', `${source.host}/long/digest:v1: ${destination.host}/long/digest\n`);
    expect(await place.run(['sync', '--images', 'sha512.yaml'])).toMatchObject({ code: 0 });
    const there = destination.content.manifest('long/digest', 'v1');
    expect(there?.bytes).toEqual(source.content.manifest('long/digest', 'v1')?.bytes);
  });

  it('reads a blob once for all destinations, and uploads it once to a registry', async () => {
    const at = { url: source.url, repository: 'fan/out' };
    const base = { seed: 'shared base', bytes: 400_000 };
    await pushImage(at, { seed: 'a', tag: 'a', layers: [base] });
    await pushImage(at, { seed: 'b', tag: 'b', layers: [base] });
    const third = await startRegistry();
    place.write('auth2.yaml', [source, destination, third].map(({ host }) => `${host}: { insecure: true }\n`).join(''));
    const to = [`${destination.host}/one/out`, `${destination.host}/two/out`, `${third.host}/out`];
    place.write('fan.json', JSON.stringify({ [`${source.host}/fan/out`]: to }));
    source.requests.length = 0;
    destination.requests.length = 0;
    const ended = await place.run(['sync', '--auth', 'auth2.yaml', '--images', 'fan.json']);
    await third.close();
    expect(ended.code).toBe(0);
    // The base and two configurations.
    expect(source.count('get blob')).toBe(3);
    expect(destination.count('finish upload')).toBe(3);
    for (const repository of ['one/out', 'two/out']) expect(destination.content.tags(repository)).toEqual(['a', 'b']);
  });

  it('puts blobs first, children before their index, and the tag last', async () => {
    const platforms = ['linux/amd64', 'linux/arm64'];
    await pushMultiArch({ url: source.url, repository: 'in/order' }, { seed: 'order', tag: 'v1', platforms });
    place.write('order.yaml', `${source.host}/in/order: ${destination.host}/in/order\n`);
    destination.requests.length = 0;
    expect((await place.run(['sync', '--images', 'order.yaml'])).code).toBe(0);
    const writes = destination.requests
      .filter(({ operation }) => operation === 'finish upload' || operation === 'put manifest')
      .map(({ operation, path }) =>
        operation === 'finish upload' ? 'blob' : path.includes('sha256:') ? 'child' : 'tag',
      );
    expect(writes.at(-1)).toBe('tag');
    expect(writes.filter((write) => write === 'tag')).toHaveLength(1);
    expect(writes.filter((write) => write === 'child')).toHaveLength(2);
    expect(writes.indexOf('tag')).toBe(writes.length - 1);
  });

  it('brings back what the destination lost though the ledger knows it', async () => {
    const at = { url: source.url, repository: 'lost/app' };
    await pushImage(at, { seed: 'l1', tag: 'v1', layers: [{ seed: 'kept', bytes: 5000 }] });
    place.write('lost.yaml', `${source.host}/lost/app: ${destination.host}/lost/app\n`);
    expect((await place.run(['sync', '--images', 'lost.yaml'])).code).toBe(0);
    for (const { digest } of destination.content.manifests('lost/app')) {
      destination.content.deleteManifest('lost/app', digest);
    }
    const manifest = JSON.parse(String(source.content.manifest('lost/app', 'v1')?.bytes)) as {
      layers: Array<{ digest: string }>;
    };
    for (const { digest } of manifest.layers) destination.content.deleteBlob('lost/app', digest);
    const again = await place.run(['sync', '--images', 'lost.yaml', '--json']);
    expect(again.code).toBe(0);
    expect(jsonLines(again.stdout).at(-1)).toMatchObject({ copied: 1, failed: 0 });
    expect(destination.content.tags('lost/app')).toEqual(['v1']);
  });
});
