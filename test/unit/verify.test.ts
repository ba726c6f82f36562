import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { DestinationState } from '../../core/pipeline/destination-state.ts';
import { type ExpandedTag, expandRule } from '../../core/pipeline/expand.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';
import { judgeDestination, verifyRule } from '../../core/pipeline/verify.ts';
import { openMemoryState } from '../../machine/state/state.ts';
import { pushIndex, pushMultiArch } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { type Copying, openCopying } from '../support/copying.ts';
import { pushArtifact } from '../support/images.ts';

const [wanted, other, subset] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`) as [
  string,
  string,
  string,
];
const source = { registry: 's.example', repository: 'app', tag: '1' };
const target = { registry: 'd.example', repository: 'app', tag: '1' };
const none = { platforms: [], os: [], arch: [] };
const now = 1000;

function judge(
  destination: Partial<DestinationState>,
  options: { arch?: string[]; digest?: string; error?: TranshipError } = {},
) {
  const { arch = [], error } = options;
  const digest = 'digest' in options ? options.digest : wanted;
  const rule: Rule = {
    id: 'r',
    from: source,
    select: { kind: 'all' },
    to: [target],
    platforms: { platforms: [], os: [], arch },
  };
  const state: DestinationState = { target, state: 'in-step', record: undefined, ...destination };
  const tag: ExpandedTag = { source, digest, error, destinations: [state] };
  const { row, correction } = judgeDestination(rule, tag, state, now);
  return { state: row.state, expected: row.expected, how: correction?.how, at: correction?.at, failure: row.failure };
}

function recorded(over: Partial<SyncRecord> = {}): SyncRecord {
  return {
    destination: target,
    source,
    sourceDigest: wanted,
    destinationDigest: wanted,
    platforms: '',
    at: 1,
    how: 'copied',
    ...over,
  };
}

describe('a verified destination', () => {
  const broken = new TranshipError('no', { class: 'transient', code: 'network' });

  it.each<[string, ReturnType<typeof judge>['state'], string | undefined, ReturnType<typeof judge>]>([
    ['equal, as recorded', 'ok', undefined, judge({ actual: wanted, record: recorded() })],
    ['equal, unrecorded', 'ok', undefined, judge({ state: 'found', actual: wanted })],
    ['changed by others', 'differs', 'gone', judge({ state: 'changed', actual: other, record: recorded() })],
    ['changed, unrecorded', 'differs', undefined, judge({ state: 'changed', actual: other })],
    ['deleted', 'missing', 'gone', judge({ state: 'new', record: recorded() })],
    ['deleted, and known to be', 'missing', undefined, judge({ state: 'new', record: recorded({ how: 'gone' }) })],
    ['never there', 'missing', undefined, judge({ state: 'new' })],
    [
      'behind its source',
      'differs',
      undefined,
      judge({
        state: 'changed',
        actual: other,
        record: recorded({ sourceDigest: other, destinationDigest: other }),
      }),
    ],
    ['not to be read', 'unreadable', undefined, judge({ state: 'unknown', error: broken, record: recorded() })],
    [
      'of a source that is not to be read',
      'unreadable',
      undefined,
      judge({ state: 'unknown', actual: other, record: recorded() }, { digest: undefined, error: broken }),
    ],
  ])('%s is %s', (_what, state, how, finding) => {
    expect(finding).toMatchObject({ state, how });
    expect(finding.failure !== undefined).toBe(state === 'unreadable');
  });

  it('has a digest of its own under a platform filter, which the whole image is not', () => {
    const record = recorded({ destinationDigest: subset, platforms: 'arch=arm64' });
    expect(judge({ state: 'in-step', actual: subset, record }, { arch: ['arm64'] })).toMatchObject({
      state: 'ok',
      expected: subset,
    });
    expect(judge({ state: 'changed', actual: wanted, record }, { arch: ['arm64'] })).toMatchObject({
      state: 'differs',
      expected: subset,
      how: 'gone',
    });
    // Made under a filter that holds no more, and still true.
    expect(judge({ state: 'changed', actual: subset, record })).toMatchObject({
      state: 'differs',
      expected: wanted,
      how: undefined,
    });
  });

  it('gets a record that is newer than the one that was wrong', () => {
    expect(judge({ state: 'new', record: recorded({ at: 5 * now }) }).at).toBe(5 * now + 1);
    expect(judge({ state: 'new', record: recorded() }).at).toBe(now);
  });
});

describe('a rule that is verified', () => {
  /** What refers to images is looked at by referrers.test.ts. */
  const referrers = { types: [] };
  const state = openMemoryState();
  const { ledger } = state;
  let registry: EmbeddedRegistry;
  let copying: Copying;

  beforeAll(async () => {
    registry = await startRegistry();
    copying = openCopying();
  });
  afterAll(async () => {
    state.close();
    await copying[Symbol.asyncDispose]();
    await registry.close();
  });

  /** What verify says of the one destination, and then the planner. */
  async function look(rule: Rule): Promise<{ found?: string; planned?: string }> {
    const { client, signal } = copying.context;
    const [row] = await verifyRule({ client, ledger, signal, now: Date.now }, rule);
    for await (const { tags } of expandRule({ client, ledger, signal, now: Date.now }, rule)) {
      return { found: row?.state, planned: tags[0]?.destinations[0]?.state };
    }
    return {};
  }

  it('is copied again where somebody put the whole image in the place of a subset, or deleted it', async () => {
    const platforms = ['linux/amd64', 'linux/arm64'];
    const from = { registry: registry.host, repository: 'from/app' };
    const to = { registry: registry.host, repository: 'to/app' };
    const whole = await pushMultiArch({ url: registry.url, ...from }, { seed: 'v', tag: '1', platforms });
    const filter = { platforms: [], os: [], arch: ['arm64'] };
    const rule: Rule = { id: 'r', from, select: { kind: 'all' }, to: [to], platforms: filter, referrers };
    await copying.copy({ host: registry.host, ...from, tag: '1' }, [{ host: registry.host, ...to }], filter);
    const record = {
      ...recorded({ sourceDigest: whole.digest, platforms: 'arch=arm64', at: Date.now() }),
      destination: { ...to, tag: '1' },
      destinationDigest: registry.content.manifest('to/app', '1')?.digest,
    };
    await ledger.write(record);
    expect(await look(rule)).toEqual({ found: 'ok', planned: 'in-step' });

    await pushMultiArch({ url: registry.url, ...to }, { seed: 'v', tag: '1', platforms });
    expect(await look(rule)).toEqual({ found: 'differs', planned: 'changed' });
    // Still so when it is verified once more: nothing was copied in between.
    expect(await look(rule)).toEqual({ found: 'differs', planned: 'changed' });

    await ledger.write({ ...record, at: Date.now() + 1000 });
    registry.content.deleteManifest('to/app', '1');
    expect(await look(rule)).toEqual({ found: 'missing', planned: 'new' });
  });

  it('is compared with the subset that its filter makes where the ledger knows nothing', async () => {
    const from = { registry: registry.host, repository: 'fresh/from' };
    const to = { registry: registry.host, repository: 'fresh/to' };
    const at = { url: registry.url, ...from };
    const whole = await pushMultiArch(at, { seed: 'f', tag: '1', platforms: ['linux/amd64', 'linux/arm64'] });
    await pushArtifact(at, { artifactType: 'application/vnd.cncf.notary.signature', seed: 's', subject: whole });
    const filter = { platforms: [], os: [], arch: ['arm64'] };
    const rule: Rule = { id: 'r', from, select: { kind: 'all' }, to: [to], platforms: filter };
    await copying.copy({ host: registry.host, ...from, tag: '1' }, [{ host: registry.host, ...to }], filter);
    const { client, signal } = copying.context;
    const verify = () => verifyRule({ client, ledger, signal, now: Date.now }, rule);
    const digest = registry.content.manifest('fresh/to', '1')?.digest;
    expect(digest).not.toBe(whole.digest);
    expect(await verify()).toMatchObject([{ state: 'ok', expected: digest, actual: digest }]);
    await pushMultiArch(
      { url: registry.url, ...to },
      { seed: 'f', tag: '1', platforms: ['linux/amd64', 'linux/arm64'] },
    );
    expect(await verify()).toMatchObject([{ state: 'differs', expected: digest, actual: whole.digest }]);
  });

  it('is, by digest, copied again where that was deleted, of which no tag list tells', async () => {
    const from = { registry: registry.host, repository: 'from/app' };
    const to = { registry: registry.host, repository: 'pinned/app' };
    const { digest } = await pushMultiArch({ url: registry.url, ...from }, { seed: 'p', platforms: ['linux/amd64'] });
    const rule: Rule = {
      id: 'r',
      from,
      select: { kind: 'digest', digest },
      to: [{ ...to, digest }],
      platforms: none,
      referrers,
    };
    const record = { ...recorded({ sourceDigest: digest, destinationDigest: digest }), destination: { ...to, digest } };
    await ledger.write(record);
    expect(await look(rule)).toEqual({ found: 'missing', planned: 'new' });
    await copying.copy({ host: registry.host, ...from, tag: digest }, [{ host: registry.host, ...to }]);
    expect(await look(rule)).toEqual({ found: 'ok', planned: 'in-step' });
  });

  it('is incomplete, and copied again, where its destination lost what its index leads to', async () => {
    const from = { registry: registry.host, repository: 'deep/from' };
    const to = { registry: registry.host, repository: 'deep/to' };
    const at = { url: registry.url, ...from };
    const platforms = ['linux/amd64', 'linux/arm64'];
    const inner = await pushMultiArch(at, { seed: 'inner', platforms });
    await pushIndex(at, { entries: [{ manifest: inner }], tag: '1' });
    const rule: Rule = { id: 'r', from, select: { kind: 'all' }, to: [to], platforms: none, referrers };
    await copying.copy({ host: registry.host, ...from, tag: '1' }, [{ host: registry.host, ...to }]);
    const { client, signal } = copying.context;
    const verify = () => verifyRule({ client, ledger, signal, now: Date.now }, rule);
    registry.requests.length = 0;
    expect(await verify()).toMatchObject([{ state: 'ok' }]);
    // The tag and three children, and the two indexes.
    const asked = registry.requests.filter(({ repository }) => repository === 'deep/to');
    expect(asked.map(({ operation }) => operation).sort()).toEqual([
      'get manifest',
      'get manifest',
      'head manifest',
      'head manifest',
      'head manifest',
      'head manifest',
      'list tags',
    ]);
    const [child] = inner.images;
    registry.content.deleteManifest('deep/to', child!.digest);
    expect(await look(rule)).toEqual({ found: 'incomplete', planned: 'changed' });
    expect(await verify()).toMatchObject([{ state: 'incomplete', lacks: [child!.digest] }]);
    registry.content.deleteManifest('deep/to', inner.digest);
    expect(await verify()).toMatchObject([{ state: 'incomplete', lacks: [inner.digest] }]);
  });

  it('is unreadable at each destination where its tags cannot be listed', async () => {
    const from = { registry: registry.host, repository: 'no/such' };
    const to = ['a', 'b'].map((name) => ({ registry: registry.host, repository: `to/${name}` }));
    const { client, signal } = copying.context;
    const rule: Rule = { id: 'r', from, select: { kind: 'all' }, to, platforms: none };
    expect(await verifyRule({ client, ledger, signal, now: Date.now }, rule)).toMatchObject([
      { state: 'unreadable', destination: { repository: 'to/a', tag: '*' }, failure: { code: 'not-found' } },
      { state: 'unreadable', destination: { repository: 'to/b', tag: '*' } },
    ]);
  });
});
