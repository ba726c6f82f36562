import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type IndexEntry, pushImage, pushIndex, pushMultiArch } from '../../testing/images.ts';
import type { PushedManifest } from '../../testing/push.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';

describe('what a plan costs', () => {
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

  const plan = async (repository: string) => {
    place.write('images.yaml', `${source.host}/${repository}: ${destination.host}/${repository}\n`);
    source.requests.length = 0;
    destination.requests.length = 0;
    const ended = await place.run(['plan', '--json']);
    const lines = jsonLines(ended.stdout);
    return { ...ended, rows: lines.filter(({ type }) => type === 'tag'), total: lines.at(-1) };
  };

  it('reads each manifest once and asks for each blob once, however often an index repeats them', async () => {
    const at = { url: source.url, repository: 'deep/app' };
    const image = await pushImage(at, { seed: 'deep' });
    const repeat = (manifest: PushedManifest): IndexEntry[] => Array.from({ length: 12 }, () => ({ manifest }));
    const inner = await pushIndex(at, { entries: repeat(image) });
    const middle = await pushIndex(at, { entries: repeat(inner) });
    await pushIndex(at, { entries: repeat(middle), tag: 'v1' });
    const { code, rows } = await plan('deep/app');
    expect(code).toBe(0);
    const [layer] = image.layers;
    expect(rows).toMatchObject([{ state: 'new', blobs: 2, bytes: image.config.size + (layer?.size ?? 0) }]);
    expect(source.count('get manifest')).toBe(4);
    expect(destination.count('head blob')).toBeLessThanOrEqual(2);
    expect(destination.count('start upload', 'put manifest')).toBe(0);
  });

  it('tells why a copy would fail, and ends with 1', async () => {
    const at = { url: source.url, repository: 'sparse/app' };
    const platforms = ['linux/amd64', 'linux/arm64'];
    const { images } = await pushMultiArch(at, { seed: 'sparse', tag: 'v1', platforms });
    await pushImage(at, { seed: 'whole', tag: 'v2' });
    source.content.deleteManifest('sparse/app', images[1]?.digest ?? '');
    const { code, rows } = await plan('sparse/app');
    expect(code).toBe(1);
    expect(rows).toMatchObject([
      { state: 'unknown', failure: { code: 'not-found', message: expect.stringContaining('(linux/arm64)') } },
      { state: 'new', blobs: 2 },
    ]);
    expect(rows[0]).not.toHaveProperty('bytes');
  });

  it('asks once for what many tags share, and counts it once', async () => {
    const at = { url: source.url, repository: 'shared/app' };
    const base = { seed: 'shared base', bytes: 10_000 };
    const images = [];
    for (const tag of ['v1', 'v2', 'v3']) {
      images.push(await pushMultiArch(at, { seed: tag, tag, platforms: ['linux/amd64'], layers: [base] }));
    }
    // The same images under another tag.
    const entries = images.flatMap(({ images: [manifest] }) => (manifest ? [{ manifest }] : []));
    await pushIndex(at, { tag: 'v4', entries });
    const { rows } = await plan('shared/app');
    const blobs = rows.map((row) => row.blobs);
    expect(blobs).toEqual([2, 1, 1, 0]);
    expect(destination.count('head blob')).toBe(4);
    // Four indexes and three images; a tag that is costed meanwhile may read one again, as the copy would.
    expect(source.count('get manifest')).toBeLessThanOrEqual(10);
  });
});
