import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Rule } from '../../core/model/rule.ts';
import { runTask } from '../../core/pipeline/run-task.ts';
import { verifyRule } from '../../core/pipeline/verify.ts';
import type { Machine } from '../../machine/machine.ts';
import { type PushedImage, pushImage, pushIndex } from '../../testing/images.ts';
import { Problem } from '../../testing/registry/problem.ts';
import { type EmbeddedRegistry, type RegistryOptions, startRegistry } from '../../testing/registry/server.ts';
import { machineFor } from '../support/machine.ts';
import { temporaryState } from '../support/state.ts';
import { syncRules } from '../support/sync.ts';

const state = temporaryState();
const base = { seed: 'lost base', bytes: 2000 };
let source: EmbeddedRegistry;
let destination: EmbeddedRegistry;
let machine: Machine;
let rule: Rule;

async function open(options: RegistryOptions): Promise<void> {
  vi.useFakeTimers({ toFake: ['Date'] });
  [source, destination] = await Promise.all([startRegistry(), startRegistry(options)]);
  const credentials = { lookup: async () => ({ insecure: true }) };
  machine = machineFor(state.directory(), { credentials, signal: new AbortController().signal });
  rule = {
    id: 'app',
    from: { registry: source.host, repository: 'app' },
    select: { kind: 'all' },
    to: [{ registry: destination.host, repository: 'mirror' }],
    platforms: { platforms: [], os: [], arch: [] },
  };
}

afterEach(async () => {
  vi.useRealTimers();
  await machine.close();
  await Promise.all([source.close(), destination.close()]);
  state.clean();
});

const push = (tag: string, seed = tag): Promise<PushedImage> =>
  pushImage({ url: source.url, repository: 'app' }, { seed, tag, layers: [base, { seed, bytes: 1000 }] });
const blobsOf = ({ config, layers }: PushedImage) => [config, ...layers].map(({ digest }) => digest);
const lacking = (image: PushedImage) =>
  blobsOf(image).filter((digest) => !destination.content.hasBlob('mirror', digest));
/** An hour later the registry loses tags, the manifest behind them and its blobs. */
function lose(image: PushedImage, ...tags: string[]): void {
  vi.setSystemTime(Date.now() + 3_600_000);
  for (const tag of tags) destination.content.deleteManifest('mirror', tag);
  if (tags.length > 0) destination.content.deleteManifest('mirror', image.digest);
  for (const digest of blobsOf(image)) destination.content.deleteBlob('mirror', digest);
}

/** Syncs, and says how each tag ended and what the destination was asked for. */
async function sync(options?: { force?: boolean }) {
  destination.requests.length = 0;
  const { outcomes } = await syncRules(machine, [rule], options);
  return {
    ended: outcomes.map(({ destination: { tag }, result }) => `${tag} ${result}`).sort(),
    heads: destination.count('head blob'),
    uploads: destination.count('start upload'),
  };
}

describe('what a destination lost', () => {
  // It takes every manifest: nothing but a question tells what it lacks.
  beforeEach(() => open({ lacking: 'taken' }));

  it('is brought again with its tag, and asked for once a repository', async () => {
    const images = [await push('1'), await push('2')] as const;
    await push('3');
    await sync();
    lose(images[0], '1');
    lose(images[1], '2');
    // The configurations and layers of two, and the base of both.
    expect(await sync()).toEqual({ ended: ['1 copied', '2 copied'], heads: 5, uploads: 5 });
    expect(images.map(lacking)).toEqual([[], []]);
    expect(await sync()).toEqual({ ended: [], heads: 0, uploads: 0 });
  });

  it('is brought again where its repository is empty', async () => {
    const image = await push('1');
    await sync();
    lose(image, '1');
    expect((await sync()).ended).toEqual(['1 copied']);
    expect(lacking(image)).toEqual([]);
  });

  it('is brought again with a tag that moved meanwhile', async () => {
    const image = await push('1');
    await push('2');
    await sync();
    lose(image, '1');
    const moved = await push('1', 'moved');
    expect((await sync()).ended).toEqual(['1 copied']);
    expect(lacking(moved)).toEqual([]);
  });

  it('is brought again with --force where its tag is there', async () => {
    const child = await push('1');
    await pushIndex({ url: source.url, repository: 'app' }, { entries: [{ manifest: child }], tag: 'all' });
    await sync();
    lose(child);
    expect((await sync()).ended).toEqual([]);
    expect((await sync({ force: true })).ended).toEqual(['1 copied', 'all copied']);
    expect(lacking(child)).toEqual([]);
  });

  it('is brought again where verify saw that a part of an index was missing', async () => {
    const child = await push('1');
    await pushIndex({ url: source.url, repository: 'app' }, { entries: [{ manifest: child }], tag: 'all' });
    rule.select = { kind: 'tags', tags: ['all'] };
    await sync();
    lose(child);
    destination.content.deleteManifest('mirror', child.digest);
    const { copy, ledger } = machine;
    const verify = () => verifyRule({ ...copy, ledger, now: Date.now }, rule);
    expect(await verify()).toMatchObject([{ state: 'incomplete', lacks: [child.digest] }]);
    expect((await sync()).ended).toEqual(['all copied']);
    expect(lacking(child)).toEqual([]);
    expect(await verify()).toMatchObject([{ state: 'ok' }]);
    expect((await sync()).ended).toEqual([]);
  });

  it('is brought again with a task that comes back from the dead letters', async () => {
    const image = await push('1');
    await sync();
    lose(image);
    // A tag that the ledger knows nothing of, of an image that it knows.
    source.content.putManifest('app', '2', image.mediaType, image.bytes);
    const task = {
      version: 1 as const,
      runId: 'run',
      ruleId: 'app',
      source: { ...rule.from, tag: '2' },
      destinations: [{ registry: destination.host, repository: 'mirror', tag: '2' }],
      platforms: rule.platforms,
      force: false,
      // Before the first copy.
      plannedAt: 1,
      attempt: 0,
      redriven: 1,
    };
    const { copy, ledger } = machine;
    const end = await runTask({ copy, ledger, now: Date.now, owner: 'worker' }, task);
    expect(end).toMatchObject({ kind: 'ended', outcomes: [{ result: 'copied' }] });
    expect(lacking(image)).toEqual([]);
  });

  it('costs nothing where a tag only moved at its source', async () => {
    await push('1');
    await sync();
    await push('1', 'moved');
    // The configuration and the new layer; not the base.
    expect(await sync()).toEqual({ ended: ['1 copied'], heads: 2, uploads: 2 });
  });
});

describe('what a destination lost, and calls the manifest invalid for', () => {
  beforeEach(() => open({ lacking: 'invalid' }));

  it('is brought again, level by level', async () => {
    const at = { url: source.url, repository: 'app' };
    const child = await push('1');
    await sync();
    lose(child, '1');
    // Tags that the ledger knows nothing of, made of what it knows.
    await pushIndex(at, { entries: [{ manifest: child }], tag: 'all' });
    source.content.deleteManifest('app', '1');
    await push('2');
    expect((await sync()).ended).toEqual(['2 copied', 'all copied']);
    expect(lacking(child)).toEqual([]);
  });

  it('is not looked for where nothing was believed', async () => {
    await push('1');
    destination.content.putManifest = () => {
      throw new Problem(400, 'MANIFEST_INVALID', 'manifest invalid');
    };
    expect((await sync()).ended).toEqual(['1 failed']);
    expect(destination.count('put manifest')).toBe(1);
  });
});
