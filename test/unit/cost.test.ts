import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { costRules } from '../../core/pipeline/cost.ts';
import { openMemoryState, type State } from '../../machine/state/state.ts';
import { type IndexEntry, pushImage, pushIndex, pushMultiArch } from '../../testing/images.ts';
import type { PushedManifest } from '../../testing/push.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { type Copying, openCopying } from '../support/copying.ts';
import { noPlatforms } from '../support/functions.ts';

describe('what a plan costs', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let state: State;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
  });
  afterAll(() => Promise.all([source.close(), destination.close()]));
  beforeEach(() => {
    state = openMemoryState();
    return () => state.close();
  });

  async function plan(
    repository: string,
    options: { force?: boolean; withInStep?: boolean } = {},
    places?: Copying['places'],
  ) {
    for (const registry of [source, destination]) registry.requests.length = 0;
    await using copying = openCopying(places);
    const rule = {
      id: 'rule',
      from: { registry: source.host, repository },
      select: { kind: 'all' as const },
      to: [{ registry: destination.host, repository }],
      platforms: noPlatforms,
    };
    const deps = { copy: copying.context, ledger: state.ledger };
    return await costRules(deps, [rule], { force: false, withInStep: false, ...options });
  }

  it('reads each manifest once and asks for each blob once, however often an index repeats them', async () => {
    const at = { url: source.url, repository: 'deep/app' };
    const image = await pushImage(at, { seed: 'deep' });
    const repeat = (manifest: PushedManifest): IndexEntry[] => Array.from({ length: 12 }, () => ({ manifest }));
    const inner = await pushIndex(at, { entries: repeat(image) });
    const middle = await pushIndex(at, { entries: repeat(inner) });
    await pushIndex(at, { entries: repeat(middle), tag: 'v1' });
    const { rows } = await plan('deep/app');
    const [layer] = image.layers;
    expect(rows).toMatchObject([{ state: 'new', blobs: 2, bytes: image.config.size + (layer?.size ?? 0) }]);
    expect(source.count('get manifest')).toBe(4);
    expect(destination.count('head blob')).toBeLessThanOrEqual(2);
    expect(destination.count('start upload', 'put manifest')).toBe(0);
  });

  it('tells why a copy would fail', async () => {
    const at = { url: source.url, repository: 'sparse/app' };
    const platforms = ['linux/amd64', 'linux/arm64'];
    const { images } = await pushMultiArch(at, { seed: 'sparse', tag: 'v1', platforms });
    await pushImage(at, { seed: 'whole', tag: 'v2' });
    source.content.deleteManifest('sparse/app', images[1]?.digest ?? '');
    const { rows } = await plan('sparse/app');
    expect(rows).toMatchObject([
      { state: 'unknown', failure: { code: 'not-found', message: expect.stringContaining('(linux/arm64)') } },
      { state: 'new', blobs: 2 },
    ]);
    expect(rows[0]?.bytes).toBeUndefined();
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

  it('counts tags in step by rule, or has a row for each, and costs them all with force', async () => {
    const at = { url: source.url, repository: 'step/app' };
    const image = await pushImage(at, { seed: 'step', tag: 'v1' });
    await pushImage(at, { seed: 'new', tag: 'v2' });
    await using copying = openCopying();
    await copying.copy({ host: source.host, repository: 'step/app' }, [
      { host: destination.host, repository: 'step/app' },
    ]);
    const few = await plan('step/app');
    expect(few.inStepByRule).toEqual([{ ruleId: 'rule', tags: 1 }]);
    expect(few.rows).toMatchObject([{ state: 'new', source: { tag: 'v2' }, blobs: 2 }]);
    const all = await plan('step/app', { withInStep: true });
    expect(all.inStepByRule).toEqual([]);
    expect(all.rows).toMatchObject([{ state: 'in-step', digest: image.digest }, { state: 'new' }]);
    const forced = await plan('step/app', { force: true });
    expect(forced.rows).toMatchObject([
      { state: 'changed', blobs: 0 },
      { state: 'new', blobs: 2 },
    ]);
  });

  it('asks with force for what is known to be there, as the copy would', async () => {
    const image = await pushImage({ url: source.url, repository: 'forced/app' }, { seed: 'forced', tag: 'v1' });
    await using copying = openCopying();
    const place = { host: destination.host, repository: 'forced/app' };
    await copying.copy({ host: source.host, repository: 'forced/app' }, [place]);
    for (const known of copying.places.values()) known.at -= 1000;
    destination.content.deleteBlob('forced/app', image.config.digest);
    const { rows } = await plan('forced/app', { force: true }, copying.places);
    expect(rows).toMatchObject([{ state: 'changed', blobs: 1 }]);
  });

  it('goes on with other rules where one cannot be expanded', async () => {
    const { rows, ruleFailures } = await plan('no/such');
    expect(rows).toEqual([]);
    expect(ruleFailures).toMatchObject([{ ruleId: 'rule', failure: { code: 'not-found', registry: source.host } }]);
  });
});
