import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OCI_MANIFEST } from '../../../core/model/media-types.ts';
import { formatMessage, parseTask } from '../../../core/pipeline/messages.ts';
import type { Task } from '../../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../../core/pipeline/ports/runs.ts';
import { runTask } from '../../../core/pipeline/run-task.ts';
import { settleTask } from '../../../core/pipeline/settle.ts';
import { cloudPolicy } from '../../../core/pipeline/try-policy.ts';
import { openMemoryState, type State } from '../../../machine/state/state.ts';
import { type EmbeddedRegistry, startRegistry } from '../../../testing/registry/server.ts';
import { type Copying, openCopying } from '../../support/copying.ts';

const start = 1_800_000_000_000;
const settleMs = 3_000;
const policy = cloudPolicy({ tries: 3, backoffMs: 1000 });
const never = `sha256:${'e'.repeat(64)}`;

let copying: Copying;
let source: EmbeddedRegistry;
let destination: EmbeddedRegistry;
let state: State;
let clock: number;

beforeAll(() => {
  copying = openCopying();
});
beforeEach(async () => {
  [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
  state = openMemoryState();
  clock = start;
});
afterEach(async () => {
  state.close();
  await Promise.all([source.close(), destination.close()]);
});
afterAll(() => copying[Symbol.asyncDispose]());

/** An image of one blob; the same seed, the same digest. */
function put({ content }: EmbeddedRegistry, tag: string, seed: string, subject?: string): string {
  const blob = content.addBlob('app', Buffer.from(seed));
  const config = { mediaType: 'application/octet-stream', digest: blob.digest, size: blob.size };
  const manifest = {
    ...{ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [] },
    ...(subject && {
      artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json',
      subject: { mediaType: OCI_MANIFEST, digest: subject, size: 1 },
    }),
  };
  return content.putManifest('app', tag, OCI_MANIFEST, Buffer.from(JSON.stringify(manifest))).digest;
}

/** As a push leaves it that was announced just now. */
const announced = (hint?: string, over: Partial<Task> = {}): Task => ({
  version: 1,
  runId: 'run-1',
  ruleId: 'r',
  source: { registry: source.host, repository: 'app', tag: '1' },
  destinations: [{ registry: destination.host, repository: 'app', tag: '1' }],
  platforms: { platforms: [], os: [], arch: [] },
  force: false,
  plannedAt: clock,
  pushed: true,
  ...(hint !== undefined && { hint, settleUntil: clock + settleMs }),
  attempt: 0,
  ...over,
});

/** Works on a task as a host does, by a clock that jumps to the next look. `at` has what happens meanwhile, by ms. */
async function work(first: Task, at: Record<number, () => void> = {}) {
  const began = clock;
  let task = first;
  const happen = new Map(Object.entries(at).map(([ms, action]) => [began + Number(ms), action]));
  const looks: number[] = [];
  if (task.hint === undefined) clock += settleMs;
  while (true) {
    for (const [when, action] of happen) {
      if (when > clock) continue;
      happen.delete(when);
      action();
    }
    looks.push(clock - began);
    const deps = { copy: copying.context, ledger: state.ledger, now: () => clock, owner: 'worker' };
    const { succeeded, failed, next } = settleTask(task, await runTask(deps, task), policy, {
      now: clock,
      waitingSince: () => clock,
    });
    const [again] = next;
    if (again === undefined) {
      const outcomes: Outcome[] = [...succeeded, ...failed];
      return { looks, outcomes, tookMs: clock - began };
    }
    task = parseTask(formatMessage(again.task)).message;
    clock += Math.max(1, again.delay.kind === 'after' ? again.delay.ms : 0);
  }
}

const held = () => destination.content.manifest('app', '1')?.digest;
const digestOf = (seed: string) => put(destination, `made-${seed}`, seed);

/** The tag is at the destination, as a minute ago it was at the source. */
async function synced(seed: string): Promise<string> {
  const digest = put(source, '1', seed);
  await work(announced(digest));
  clock += 60_000;
  source.requests.length = 0;
  return digest;
}

describe('an announced push that is to be seen later', () => {
  it.each([
    ['a new tag, with its digest', true, false],
    ['a new tag, without', false, false],
    ['a moved tag, with its digest', true, true],
    ['a moved tag, without', false, true],
  ])('is copied when it is: %s', async (_what, hasDigest, isMoved) => {
    if (isMoved) await synced('old');
    const digest = digestOf('new');
    const { outcomes, tookMs } = await work(announced(hasDigest ? digest : undefined), {
      10000: () => put(source, '1', 'new'),
    });
    expect(outcomes).toMatchObject([{ result: 'copied', sourceDigest: digest }]);
    expect(held()).toBe(digest);
    expect(tookMs).toBeLessThan(30_000);
    // Each look but the first and the last is a HEAD, which no quota counts.
    expect(source.count('get manifest')).toBeLessThanOrEqual(2);
  });

  it('is copied when its signature is, where that is what was announced', async () => {
    const image = await synced('image');
    const signature = put(destination, 'made', 'signature', image);
    destination.content.deleteManifest('app', signature);
    const { source: at, destinations } = announced();
    const toDigest = ({ registry, repository }: typeof at) => ({ registry, repository, digest: signature });
    const { outcomes } = await work(
      announced(signature, { part: 'referrer', source: toDigest(at), destinations: destinations.map(toDigest) }),
      { 20000: () => put(source, 'any', 'signature', image) },
    );
    expect(outcomes).toMatchObject([{ result: 'copied' }]);
    expect(destination.content.manifest('app', signature)?.digest).toBe(signature);
  });
});

describe('an announced push that never comes', () => {
  it.each([
    ['of a tag that was deleted again', never, `${never} was announced, and is not at the source`],
    ['of a tag that never was', undefined, 'it was announced, and is not at the source'],
  ])('ends after minutes as unchanged: %s', async (_what, hint, note) => {
    const { outcomes, tookMs, looks } = await work(announced(hint));
    expect(outcomes).toMatchObject([{ result: 'unchanged', note }]);
    expect(tookMs).toBeGreaterThan(60_000);
    expect(tookMs).toBeLessThanOrEqual(300_000);
    expect(looks.filter((ms) => ms > settleMs).length).toBeLessThan(10);
  });

  it('leaves the tag as it was, and says so', async () => {
    const digest = await synced('old');
    const { outcomes, tookMs } = await work(announced(never));
    expect(outcomes).toMatchObject([
      { result: 'unchanged', sourceDigest: digest, note: `${never} was announced, and is not at the source` },
    ]);
    expect(tookMs).toBeGreaterThan(60_000);
  });

  it('is waited for less long where no digest is announced: the same image may have been pushed again', async () => {
    await synced('old');
    const { outcomes, tookMs } = await work(announced());
    expect(outcomes).toMatchObject([{ result: 'unchanged' }]);
    expect(tookMs).toBeGreaterThan(settleMs);
    expect(tookMs).toBeLessThanOrEqual(20_000);
  });

  it('is not waited for where somebody asked for what failed again', async () => {
    const { looks } = await work(announced(undefined, { redriven: 1 }));
    expect(looks).toHaveLength(1);
  });
});

describe('an announced push that is history', () => {
  it('is not waited for where its digest can be read: the tag is something else by now', async () => {
    await synced('old');
    const [first] = [put(source, '1', 'first'), put(source, '1', 'old')];
    const { outcomes, tookMs } = await work(announced(first));
    expect(outcomes).toMatchObject([{ result: 'unchanged' }]);
    expect(tookMs).toBe(settleMs);
  });

  it('is not waited for where the tag has moved on to what no destination has', async () => {
    await synced('old');
    const second = put(source, '1', 'second');
    const { outcomes, tookMs } = await work(announced(never));
    expect(outcomes).toMatchObject([{ result: 'copied', sourceDigest: second }]);
    expect(tookMs).toBe(settleMs);
  });

  it('is not waited for where the newer push was copied meanwhile', async () => {
    await synced('old');
    const older = announced(never);
    const second = put(source, '1', 'second');
    expect((await work(announced(second))).outcomes).toMatchObject([{ result: 'copied' }]);
    const { outcomes, tookMs } = await work(older);
    expect(outcomes).toMatchObject([{ result: 'unchanged' }]);
    expect(tookMs).toBeLessThanOrEqual(settleMs);
  });
});

describe('an announced push that is there at once', () => {
  it.each([
    ['with its digest', true, ['head manifest', 'get manifest']],
    ['without', false, ['get manifest']],
  ])('costs no look more: %s', async (_what, hasDigest, asked) => {
    await synced('old');
    const digest = put(source, '1', 'new');
    const { looks } = await work(announced(hasDigest ? digest : undefined));
    expect(looks).toHaveLength(1);
    const ofManifests = source.requests.map(({ operation }) => operation).filter((one) => one.endsWith('manifest'));
    expect(ofManifests).toEqual(asked);
  });

  it('costs one look where it is replayed', async () => {
    const digest = await synced('old');
    const { outcomes, looks } = await work(announced(digest));
    expect([outcomes[0]?.result, looks.length]).toEqual(['unchanged', 1]);
  });
});
