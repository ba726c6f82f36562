import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage, pushIndex, pushMultiArch } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';

// What a run asks of registries, counted at the wire (design: "What an unchanged tag may cost").
describe('what a run costs', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let place: Workplace;
  const tags = ['1.0', '1.1', '1.2'];
  const base = { seed: 'base', bytes: 50_000 };

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    for (const tag of tags) {
      const layers = [base, { seed: tag, bytes: 5_000 }];
      await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag, layers });
    }
  });
  afterAll(() => Promise.all([source.close(), destination.close()]));
  beforeEach(() => {
    place = openWorkplace([source.host, destination.host]);
    return () => place.remove();
  });

  const write = (rules: Record<string, string | string[]>) =>
    place.write(
      'images.json',
      JSON.stringify(
        Object.fromEntries(
          Object.entries(rules).map(([from, to]) => [
            `${source.host}/${from}`,
            [to].flat().map((one) => `${destination.host}/${one}`),
          ]),
        ),
      ),
    );
  const sync = async (...flags: string[]) => {
    source.requests.length = 0;
    destination.requests.length = 0;
    const ended = await place.run(['sync', '--json', ...flags]);
    const run = jsonLines(ended.stdout).at(-1);
    return { ...ended, run };
  };
  /** How often each operation was asked for, connection set-up left out. */
  const asked = (registry: EmbeddedRegistry) => {
    const counts: Record<string, number> = {};
    for (const { operation } of registry.requests) {
      if (operation !== 'ping') counts[operation] = (counts[operation] ?? 0) + 1;
    }
    return counts;
  };

  it('lists each destination and asks the source once a tag, however the rules are written', async () => {
    write({
      'team/app': ['many/a', 'many/b'],
      'team/app:1.0,1.1': 'many/named:one,two',
      'team/app:/^1\\.2$/': 'many/regex',
    });
    expect((await sync()).run).toMatchObject({ planned: 9, copied: 9 });
    const second = await sync();
    expect(second).toMatchObject({ code: 0, run: { planned: 9, unchanged: 9, copied: 0, bytes: 0 } });
    // One list for the rule of all tags, one for the expression; one HEAD for each source tag of each rule.
    expect(asked(source)).toEqual({ 'list tags': 2, 'head manifest': 6 });
    expect(asked(destination)).toEqual({ 'list tags': 4 });
  });

  it('moves for a changed tag its manifests and the blobs that are missing, each once for all destinations', async () => {
    const at = { url: source.url, repository: 'multi/app' };
    const { images } = await pushMultiArch(at, {
      seed: 'multi',
      tag: 'latest',
      platforms: ['linux/amd64', 'linux/arm64'],
      layers: [base],
    });
    write({ 'multi/app': ['first/app', 'second/app'] });
    expect((await sync()).run).toMatchObject({ planned: 2, copied: 2 });
    // Index, its two images, their configs and the layer that they share.
    expect(asked(source)).toMatchObject({ 'get manifest': 3, 'get blob': 3 });

    const [amd64] = images;
    const fresh = await pushImage(at, {
      seed: 'fresh',
      platform: { os: 'linux', architecture: 'arm64' },
      layers: [base, { seed: 'fresh', bytes: 4000 }],
    });
    await pushIndex(at, {
      tag: 'latest',
      entries: [amd64, fresh].map((manifest) => ({ manifest: manifest!, platform: manifest!.platform })),
    });
    expect((await sync()).run).toMatchObject({ planned: 2, copied: 2 });
    // The index, and the one image that is new; its config and its new layer; what refers to each of the three.
    expect(asked(source)).toEqual({
      'list tags': 1,
      'head manifest': 1,
      'get manifest': 2,
      'get blob': 2,
      'list referrers': 3,
    });
    const { 'start upload': uploads, 'put manifest': puts, 'head blob': heads } = asked(destination);
    // The second destination may have the first one's blobs mounted.
    expect(uploads).toBeLessThanOrEqual(4);
    expect(puts).toBe(4);
    expect(heads ?? 0).toBeLessThanOrEqual(uploads ?? 0);
    const wanted = source.content.manifest('multi/app', 'latest')?.digest;
    for (const name of ['first/app', 'second/app']) {
      expect(destination.content.manifest(name, 'latest')?.digest).toBe(wanted);
    }
  });

  // What a tag costs that is copied for the first time, by what its images share.
  it.each([
    {
      what: 'a tag that shares nothing',
      layers: ['own'],
      at: { source: { 'get manifest': 1, 'list referrers': 1, 'get blob': 2 }, first: 5, second: undefined },
    },
    {
      what: 'a tag whose base is there already',
      layers: ['base', 'own'],
      // Whether the new layer and the configuration are there is asked for: others may have brought them.
      at: { source: { 'get manifest': 1, 'list referrers': 1, 'get blob': 2 }, first: 7, second: undefined },
    },
    {
      what: 'a tag with a second destination in the same registry',
      layers: ['own'],
      // The second one has both blobs mounted.
      at: { source: { 'get manifest': 1, 'list referrers': 1, 'get blob': 2 }, first: 5, second: 3 },
    },
  ])('asks $at.first times at the destination for $what', async ({ what, layers, at }) => {
    const name = what.replaceAll(' ', '-');
    const to = { url: source.url, repository: name };
    const spec = (seed: string) => ({ seed: `${name} ${seed}`, bytes: 4000 });
    await pushImage(to, { seed: `${name} first`, tag: 'v1', layers: [spec('base')] });
    const places = at.second === undefined ? [name] : [name, `${name}/two`];
    const all = { [`${name}:v1,v2`]: places };
    write(layers.includes('base') ? { [`${name}:v1`]: places } : {});
    if (layers.includes('base')) await sync();
    await pushImage(to, { seed: name, tag: 'v2', layers: layers.map(spec) });
    write(layers.includes('base') ? all : { [`${name}:v2`]: places });
    expect((await sync()).run).toMatchObject({ copied: places.length });
    const counted = (repository: string) =>
      destination.requests.filter((one) => one.repository === repository && one.operation !== 'list tags').length;
    const { 'list tags': _, 'head manifest': heads = 0, ...asks } = asked(source);
    expect({ source: asks, first: counted(name), second: places[1] && counted(places[1]) }).toEqual(at);
    expect(heads).toBe(layers.includes('base') ? 1 : 0);
  });

  it('asks three times for a layer of modest size: to read it, to begin its upload, to put it', async () => {
    const layers = Array.from({ length: 40 }, (_, index) => ({ seed: `modest ${index}`, bytes: 300_000 }));
    await pushImage({ url: source.url, repository: 'modest/app' }, { seed: 'modest', tag: 'v1', layers });
    write({ 'modest/app:v1': 'modest/app' });
    expect((await sync()).run).toMatchObject({ copied: 1 });
    expect(asked(source)).toMatchObject({ 'get blob': 41 });
    const { 'head blob': heads = 0, ...asks } = asked(destination);
    expect(asks).toMatchObject({ 'start upload': 41, 'finish upload': 41, 'put manifest': 1 });
    expect(asks).not.toHaveProperty('write upload');
    // A run that was killed may have left some there. It has not, as the first ones show.
    expect(heads).toBeLessThan(32);
  });

  it('moves none of the layers of modest size that a run before it has left without a tag', async () => {
    const layers = Array.from({ length: 40 }, (_, index) => ({ seed: `left ${index}`, bytes: 300_000 }));
    const { config } = await pushImage(
      { url: source.url, repository: 'left/app' },
      { seed: 'left', tag: 'v1', layers },
    );
    await pushImage({ url: destination.url, repository: 'left/app' }, { seed: 'left', tag: 'v1', layers });
    await fetch(`${destination.url}/v2/left/app/manifests/v1`, { method: 'DELETE' });
    write({ 'left/app:v1': 'left/app' });
    expect((await sync()).run).toMatchObject({ copied: 1, bytes: config.size });
  });

  it('stays within the budget of pulls of a rule, and defers the rest', async () => {
    const rule = `{ from: ${source.host}/team/app, to: ${destination.host}/budget/app, pulls: 2/1h }`;
    place.write('tranship.yaml', `version: 1\nrules: [${rule}]\n`);
    const first = await sync('--images', 'tranship.yaml');
    expect(first).toMatchObject({ code: 1, run: { planned: 3, copied: 2, deferred: 1, failed: 0 } });
    const deferred = jsonLines(first.stdout).find(({ result }) => result === 'deferred');
    expect(deferred).toMatchObject({ failure: { message: expect.stringContaining('budget of 2 pulls in 1 h') } });
    expect(asked(source)['get manifest']).toBe(2);
    // HEADs do not count, and the budget is kept from one run to the next.
    expect(await sync('--images', 'tranship.yaml')).toMatchObject({ run: { unchanged: 2, deferred: 1 } });
    expect(asked(source)).toEqual({ 'list tags': 1, 'head manifest': 2 });
    const { stdout } = await place.run(['status', '--json']);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ type: 'budget', pulls: 2, windowMs: 3_600_000, left: 0 });
  });

  it('copies again, with --force, what is in step', async () => {
    write({ 'team/app': 'forced/app' });
    await sync();
    const forced = await sync('--force');
    expect(forced).toMatchObject({ code: 0, run: { copied: 3, unchanged: 0 } });
    expect(asked(destination)['put manifest']).toBe(3);
    // Blobs that are known to be there are not moved again.
    expect(asked(source)['get blob']).toBeUndefined();
  });

  it('is one HEAD at the destination for each digest, which no list of tags tells of', async () => {
    const digests = tags.map((tag) => source.content.manifest('team/app', tag)?.digest);
    write(Object.fromEntries(digests.map((digest) => [`team/app@${digest}`, 'pinned/app'])));
    expect((await sync()).run).toMatchObject({ copied: 3 });
    expect((await sync()).run).toMatchObject({ unchanged: 3 });
    expect({ source: asked(source), destination: asked(destination) }).toEqual({
      source: {},
      destination: { 'head manifest': 3 },
    });
    destination.content.deleteManifest('pinned/app', digests[0] ?? '');
    expect((await sync()).run).toMatchObject({ copied: 1, unchanged: 2 });
    expect(destination.content.manifest('pinned/app', digests[0] ?? '')).toBeDefined();
  });

  it('stays at one HEAD a tag for 2,000 tags', async () => {
    const at = { url: source.url, repository: 'wide/app' };
    const image = await pushImage(at, { seed: 'wide' });
    for (let n = 0; n < 2000; n += 1) {
      source.content.putManifest('wide/app', `v${n}`, image.mediaType, image.bytes);
    }
    write({ 'wide/app': 'wide/app' });
    expect((await sync('--proc', '20')).run).toMatchObject({ planned: 2000, copied: 2000 });
    const second = await sync();
    expect(second).toMatchObject({ code: 0, run: { planned: 2000, unchanged: 2000 } });
    expect(jsonLines(second.stdout).filter(({ type }) => type === 'outcome')).toHaveLength(2000);
    expect(asked(source)).toEqual({ 'list tags': 2, 'head manifest': 2000 });
    expect(asked(destination)).toEqual({ 'list tags': 2 });
    // All that are asked for once the first answers are there: up to 64 tags are in flight.
    const unmodified = () => source.requests.filter(({ status }) => status === 304).length;
    expect(unmodified()).toBeGreaterThan(1900);
    source.requests.length = 0;
    expect((await place.run(['verify'])).code).toBe(0);
    expect(unmodified()).toBe(0);
  });
});
