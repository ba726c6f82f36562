import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { contentOf } from '../../core/copy/content.ts';
import { walkImage, walkLimits } from '../../core/copy/walk.ts';
import { digestOf } from '../../core/model/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../core/model/media-types.ts';
import { createSlots } from '../../core/model/slots.ts';
import { getManifest } from '../../core/registry/manifests.ts';
import { type IndexEntry, pushImage, pushIndex } from '../../testing/images.ts';
import { type PushedManifest, pushManifest } from '../../testing/push.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { openCopying } from '../support/copying.ts';
import { scriptedRegistry, testClient } from '../support/scripted-registry.ts';

describe('the walk of an image', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let counter = 0;
  let repository = '';

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
  });
  afterAll(() => Promise.all([source.close(), destination.close()]));
  beforeEach(() => {
    counter += 1;
    repository = `walk/app${counter}`;
    source.requests.length = 0;
    destination.requests.length = 0;
  });

  const at = () => ({ url: source.url, repository });
  const from = () => ({ host: source.host, repository });
  const to = () => [{ host: destination.host, repository }];
  const repeated = (manifest: PushedManifest, times: number): IndexEntry[] =>
    Array.from({ length: times }, () => ({ manifest }));
  const emptyIndex = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] };

  it('reads, moves and puts each part once, however often an index in indexes repeats it', async () => {
    const image = await pushImage(at(), { seed: repository });
    const inner = await pushIndex(at(), { entries: repeated(image, 12) });
    const middle = await pushIndex(at(), { entries: repeated(inner, 12) });
    await pushIndex(at(), { entries: repeated(middle, 12), tag: 'v1' });
    await using copying = openCopying();
    source.requests.length = 0;
    const [arrival] = await copying.copy(from(), to());
    expect(arrival?.error).toBeUndefined();
    expect(source.count('get manifest')).toBe(4);
    expect(source.count('get blob')).toBe(2);
    expect(destination.count('start upload')).toBe(2);
    expect(destination.count('put manifest')).toBe(4);
  });

  it('asks for no more than a cold copy needs', async () => {
    await pushImage(at(), { seed: repository, tag: 'v1' });
    await using copying = openCopying();
    source.requests.length = 0;
    await copying.copy(from(), to());
    const counts = (registry: EmbeddedRegistry) => {
      const operations = new Set(registry.requests.map(({ operation }) => operation));
      return Object.fromEntries([...operations].map((operation) => [operation, registry.count(operation)]));
    };
    expect(counts(source)).toEqual({ ping: 1, 'get manifest': 1, 'get blob': 2 });
    expect(counts(destination)).toEqual({
      ping: 1,
      'head blob': 2,
      'start upload': 2,
      'finish upload': 2,
      'put manifest': 1,
    });
  });

  it('copies a child of two parents once, and each parent after it', async () => {
    const shared = { seed: `${repository} shared`, bytes: 200_000 };
    const image = await pushImage(at(), { seed: repository, layers: [shared] });
    const others = await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map((seed) =>
        pushImage(at(), { seed: `${repository} ${seed}`, layers: [shared, { seed, bytes: 500 }] }),
      ),
    );
    const parents = await Promise.all(
      [others, others.toReversed()].map((list, position) =>
        pushIndex(at(), {
          entries: [...list, image].map((manifest) => ({ manifest })),
          annotations: { position: String(position) },
        }),
      ),
    );
    // Queued behind each other's children, in opposite orders: neither may wait for what only the other can begin.
    await pushIndex(at(), { entries: parents.map((manifest) => ({ manifest })), tag: 'v1' });
    await using copying = openCopying();
    source.requests.length = 0;
    const [arrival] = await copying.copy(from(), to());
    expect(arrival?.error).toBeUndefined();
    const puts = destination.requests
      .filter(({ operation }) => operation === 'put manifest')
      .map(({ path }) => path.split('/').at(-1));
    expect(puts).toHaveLength(9);
    expect(new Set(puts).size).toBe(9);
    expect(puts.at(-1)).toBe('v1');
    expect(source.count('get manifest')).toBe(9);
    // Six configurations, the shared layer, and five of their own.
    expect(source.count('get blob')).toBe(12);
    expect(destination.count('finish upload')).toBe(12);
  });

  it('brings a blob to each that lacks it, also where another one has the child that names it first', async () => {
    const shared = { seed: `${repository} shared`, bytes: 1000 };
    const first = await pushImage(at(), { seed: `${repository} 1`, layers: [shared] });
    const second = await pushImage(at(), { seed: `${repository} 2`, layers: [shared] });
    await pushIndex(at(), { entries: [{ manifest: first }, { manifest: second }], tag: 'v1' });
    await using copying = openCopying();
    const [here] = to();
    const there = { host: destination.host, repository: `${repository}/other` };
    // One has the first image already, with all that it names.
    await copying.copy({ ...from(), tag: first.digest }, [there]);
    const arrivals = await copying.copy(from(), [here!, there]);
    expect(arrivals.map(({ error }) => error)).toEqual([undefined, undefined]);
    for (const name of [repository, there.repository]) expect(destination.content.tags(name)).toEqual(['v1']);
  });

  it('reads a child once for tags of one image that are copied at the same time, in any order of theirs', async () => {
    const images = await Promise.all(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((seed) => pushImage(at(), { seed: `${repository} ${seed}` })),
    );
    const tags = ['v1', 'v2', 'v3', 'v4'];
    for (const [position, tag] of tags.entries()) {
      const turned = [...images.slice(position), ...images.slice(0, position)];
      const inner = await pushIndex(at(), { entries: turned.map((manifest) => ({ manifest })) });
      await pushIndex(at(), {
        entries: [{ manifest: inner }, ...turned.toReversed().map((manifest) => ({ manifest }))],
        tag,
      });
    }
    await using copying = openCopying();
    source.requests.length = 0;
    const [here] = to();
    const there = { host: destination.host, repository: `${repository}/other` };
    const results = await Promise.all(
      tags.map((tag, n) => copying.copy({ ...from(), tag }, n % 2 ? [here!, there] : [there, here!])),
    );
    expect(results.flat().map(({ error }) => error)).toEqual(Array.from({ length: 8 }, () => undefined));
    // Four tags with an index of their own, and six images.
    expect(source.count('get manifest')).toBe(4 + 4 + 6);
    expect(source.count('get blob')).toBe(12);
    // Each at two destinations.
    expect(destination.count('put manifest')).toBe(2 * (4 + 4 + 6));
    for (const { repository: name } of [here!, there]) expect(destination.content.tags(name)).toEqual(tags);
  });

  it('copies a child itself where the copy that it waited for failed', async () => {
    const image = await pushImage(at(), { seed: repository });
    await pushIndex(at(), { entries: [{ manifest: image }], tag: 'v1' });
    await using copying = openCopying();
    const { index } = copying.context;
    const target = { registry: destination.host, repository };
    const other = index.claimManifest([target], image.digest);
    const copied = copying.copy(from(), to());
    await vi.waitFor(() => expect(source.count('get manifest')).toBe(1), { timeout: 30_000 });
    if (other.kind === 'taken') other.release();
    const [arrival] = await copied;
    expect(arrival?.error).toBeUndefined();
    expect(destination.content.tags(repository)).toEqual(['v1']);
  });

  it('visits the blobs of as many images at a time as there are slots, in indexes in indexes too', async () => {
    const [one, two, three] = await Promise.all([1, 2, 3].map((n) => pushImage(at(), { seed: `${repository} ${n}` })));
    const inner = await pushIndex(at(), { entries: [{ manifest: one! }, { manifest: two! }] });
    await pushIndex(at(), { entries: [{ manifest: inner }, { manifest: three! }], tag: 'v1' });
    await using client = testClient();
    const repositoryAt = { registry: source.host, repository };
    source.requests.length = 0;
    const content = contentOf(repositoryAt, await getManifest(client, { ...repositoryAt, tag: 'v1' }));
    const seen: string[] = [];
    let atOnce = 0;
    let most = 0;
    const { signal } = new AbortController();
    await walkImage({ client, source: repositoryAt, signal, imageSlots: createSlots(1) }, content, {
      prepare: async () => {},
      async blob({ digest }) {
        seen.push(digest);
        atOnce += 1;
        most = Math.max(most, atOnce);
        await expect.poll(() => source.count('get manifest')).toBe(5);
        atOnce -= 1;
      },
      async child(_child, visit) {
        await visit();
      },
    });
    // A config and a layer.
    expect(most).toBe(2);
    expect(new Set(seen).size).toBe(6);
  });

  it('takes an index without entries', async () => {
    await pushManifest(at(), OCI_INDEX, emptyIndex, { tag: 'v1' });
    await using copying = openCopying();
    const [arrival] = await copying.copy(from(), to());
    expect(arrival?.error).toBeUndefined();
    expect(destination.content.tags(repository)).toEqual(['v1']);
  });

  it.each([
    [{ os: 'linux', architecture: 'arm', variant: 'v7' }, ' (linux/arm/v7)'],
    [{ os: 'windows' }, ' (windows/unknown)'],
    [undefined, ''],
  ])('names a child that the source does not have, with its platform %j', async (platform, text) => {
    const image = await pushImage(at(), { seed: repository });
    const lost = await pushImage(at(), { seed: `${repository} lost` });
    const { digest, size } = lost;
    const manifests = [
      { mediaType: OCI_MANIFEST, digest: image.digest, size: image.size },
      { mediaType: OCI_MANIFEST, digest, size, platform },
    ];
    await pushManifest(at(), OCI_INDEX, { ...emptyIndex, manifests }, { tag: 'v1' });
    source.content.deleteManifest(repository, digest);
    await using copying = openCopying();
    const [arrival] = await copying.copy(from(), to());
    expect(arrival?.error).toMatchObject({
      class: 'permanent',
      code: 'not-found',
      message: `${source.host}/${repository} does not have ${digest}${text}, which the index names`,
      site: { registry: source.host, repository },
      mend: expect.stringContaining('platforms'),
    });
    expect(destination.content.tags(repository)).toEqual([]);
  });

  it('stops with an error where manifests lead to ever more of them', async () => {
    const padding = 'x'.repeat(4_000_000);
    const children = Array.from({ length: 40 }, (_, n) => {
      const bytes = Buffer.from(JSON.stringify({ ...emptyIndex, annotations: { [`child ${n}`]: padding } }));
      return { bytes, mediaType: OCI_INDEX, digest: digestOf(bytes), size: bytes.length };
    });
    const root = Buffer.from(
      JSON.stringify({ ...emptyIndex, manifests: children.map(({ bytes: _, ...descriptor }) => descriptor) }),
    );
    await using endless = await scriptedRegistry(({ url }) => {
      const child = children.find(({ digest }) => url.endsWith(digest));
      return { headers: { 'content-type': OCI_INDEX }, body: child?.bytes ?? root };
    });
    await using copying = openCopying();
    const [arrival] = await copying.copy({ host: endless.host, repository }, to());
    expect(arrival?.error).toMatchObject({
      class: 'permanent',
      code: 'limit-exceeded',
      message: `the image leads to more than ${walkLimits.manifestBytes} bytes of manifests`,
      site: { registry: endless.host },
    });
    // The root, 16 that fit, and those that were asked for together with the one that did not.
    expect(endless.requests.length).toBeLessThanOrEqual(1 + 16 + 4);
    expect(destination.content.tags(repository)).toEqual([]);
  });
});
