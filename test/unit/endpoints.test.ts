import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createCopyContext } from '../../core/copy/context.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../core/model/media-types.ts';
import type { Endpoint } from '../../core/model/rule.ts';
import { runTask } from '../../core/pipeline/run-task.ts';
import { closeRegistryClient, createRegistryClient } from '../../core/registry/client.ts';
import { openMemoryState } from '../../machine/state/state.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import type { Fault } from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';

const login = { username: 'm', password: 'of-the-mirror' };

/** An index of two images that share a large layer; the same seed, the same digests. */
function put({ content }: EmbeddedRegistry, repository: string, seed: string): string {
  const describeBlob = (bytes: Buffer) => {
    const { digest, size } = content.addBlob(repository, bytes);
    return { mediaType: 'application/octet-stream', digest, size };
  };
  const layer = describeBlob(Buffer.alloc(300_000, `${seed} layer`));
  const manifests = ['amd64', 'arm64'].map((architecture) => {
    const config = describeBlob(Buffer.from(`${seed} ${architecture}`));
    const image = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] };
    const bytes = Buffer.from(JSON.stringify(image));
    const { digest } = content.putManifest(repository, `${seed}-${architecture}`, OCI_MANIFEST, bytes);
    return { mediaType: OCI_MANIFEST, digest, size: bytes.length, platform: { os: 'linux', architecture } };
  });
  const index = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
  return content.putManifest(repository, 'v1', OCI_INDEX, Buffer.from(index)).digest;
}

describe('a source with endpoints', () => {
  let origin: EmbeddedRegistry;
  let mirror: EmbeddedRegistry;
  let target: EmbeddedRegistry;
  let front: FaultyRegistry;
  let copies = 0;

  beforeAll(async () => {
    [origin, mirror, target] = await Promise.all([
      startRegistry(),
      startRegistry({ access: { kind: 'basic', users: [login] } }),
      startRegistry(),
    ]);
    front = await startFaultyRegistry({ upstream: mirror.url });
  });
  afterAll(() => Promise.all([origin, mirror, target, front].map((registry) => registry.close())));
  beforeEach(() => {
    front.setFaults([]);
    for (const registry of [origin, mirror, target, front]) registry.requests.length = 0;
  });

  const at = (path = 'hub'): Endpoint => ({ registry: front.host, path });
  const asked = ({ requests }: EmbeddedRegistry) => {
    const counts: Record<string, number> = {};
    for (const { operation } of requests) if (operation !== 'ping') counts[operation] = (counts[operation] ?? 0) + 1;
    return counts;
  };

  /** Copies `team/app:v1`, whose digest is returned, into a repository of its own. */
  async function copy(endpoints: Endpoint[], times = 1) {
    const state = openMemoryState();
    const warnings: string[] = [];
    const client = createRegistryClient({
      credentials: { lookup: async ({ registry }) => ({ insecure: true, ...(registry === front.host && login) }) },
      retry: { attempts: 3, baseMs: 1, capMs: 2 },
      onWarning: (message) => warnings.push(message),
    });
    const shared = createCopyContext({ client, ledger: state.ledger, blobsAtOnce: 4, emit: () => {} });
    const signal = new AbortController().signal;
    const results: unknown[] = [];
    let digest: string | undefined;
    for (let time = 0; time < times; time += 1) {
      copies += 1;
      const destination = { registry: target.host, repository: `copy/${copies}`, tag: 'v1' };
      const end = await runTask(
        {
          copy: { ...shared, retry: client.options.retry, signal },
          ledger: state.ledger,
          now: Date.now,
          owner: 'test',
        },
        {
          version: 1,
          runId: 'run',
          ruleId: 'rule',
          source: { registry: origin.host, repository: 'team/app', tag: 'v1' },
          destinations: [destination],
          platforms: { platforms: [], os: [], arch: [] },
          referrers: { types: [] },
          endpoints,
          force: false,
          plannedAt: 0,
          attempt: 0,
        },
      );
      results.push(...(end.kind === 'ended' ? end.outcomes : []));
      digest = target.content.manifest(destination.repository, 'v1')?.digest;
    }
    await closeRegistryClient(client);
    state.close();
    return { results, digest, warnings };
  }

  it('is asked which digest a tag is; the rest is read at the endpoint, with its own login', async () => {
    const digest = put(origin, 'team/app', 'one');
    put(mirror, 'hub/team/app', 'one');
    const done = await copy([at()]);
    expect(done).toMatchObject({ results: [{ result: 'copied' }], digest, warnings: [] });
    expect(asked(origin)).toEqual({ 'head manifest': 1 });
    expect(asked(mirror)).toMatchObject({ 'get manifest': 3, 'get blob': 3 });
    // Nothing is ever written there.
    expect(front.requests.every(({ method }) => method === 'GET')).toBe(true);
  });

  it('is not believed to be what a tag of the endpoint is', async () => {
    put(mirror, 'hub/team/app', 'stale');
    const digest = put(origin, 'team/app', 'two');
    expect(await copy([at()])).toMatchObject({ results: [{ result: 'copied' }], digest, warnings: [] });
    // What the endpoint does not have yet comes from the registry itself.
    expect(asked(origin)).toMatchObject({ 'head manifest': 1, 'get manifest': 3, 'get blob': 3 });
  });

  it.each<[what: string, fault: Fault['effect'], path: RegExp, warning: RegExp | undefined]>([
    ['is down', { kind: 'answer', status: 503 }, /./, /is passed over for a minute: .*503/],
    ['is not to be read by this login', { kind: 'answer', status: 403, body: '{}' }, /hub/, /passed over.*403/],
    [
      'wants to be left alone',
      { kind: 'answer', status: 429, headers: { 'retry-after': '900' } },
      /hub/,
      /passed over.*429/,
    ],
    ['has other bytes for a manifest', { kind: 'flip', offset: 30 }, /manifests/, /passed over.*digest/],
    ['has other bytes for a small blob', { kind: 'flip', offset: 3 }, /blobs/, /passed over.*digest/],
    ['has other bytes for a layer', { kind: 'flip', offset: 200_000 }, /blobs/, undefined],
    ['breaks off in the middle of a layer', { kind: 'cut', afterBytes: 100_000 }, /blobs/, undefined],
  ])('is read itself where the endpoint %s', async (what, effect, path, warning) => {
    const seed = what.replaceAll(/\W/g, '-');
    const digest = put(origin, 'team/app', seed);
    put(mirror, 'hub/team/app', seed);
    front.setFaults([{ when: { path }, effect }]);
    const done = await copy([at()]);
    expect(done).toMatchObject({ results: [{ result: 'copied' }], digest });
    expect(done.warnings.join('\n')).toMatch(warning ?? /^$/);
  });

  it('leaves an endpoint alone that failed, and tries the next one first', async () => {
    const digest = put(origin, 'team/app', 'three');
    put(mirror, 'hub/team/app', 'three');
    const nowhere = { registry: '127.0.0.1:9', path: '' };
    const done = await copy([nowhere, at()], 2);
    expect(done).toMatchObject({ results: [{ result: 'copied' }, { result: 'copied' }], digest });
    expect(done.warnings).toEqual([expect.stringContaining('127.0.0.1:9, an endpoint of')]);
    expect(asked(origin)['get manifest']).toBeUndefined();
  });
});
