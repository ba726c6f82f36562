import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { OCI_INDEX, OCI_MANIFEST } from '../../../core/model/media-types.ts';
import type { DeletionPolicy, Rule } from '../../../core/model/rule.ts';
import { costRules } from '../../../core/pipeline/cost.ts';
import { planRule } from '../../../core/pipeline/plan.ts';
import type { PlanMessage, Task } from '../../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../../core/pipeline/ports/runs.ts';
import { runTask } from '../../../core/pipeline/run-task.ts';
import { verifyRule } from '../../../core/pipeline/verify.ts';
import { placeholderDigest } from '../../../core/registry/delete-tag.ts';
import { openMemoryState, type State } from '../../../machine/state/state.ts';
import { type EmbeddedRegistry, type RegistryOptions, startRegistry } from '../../../testing/registry/server.ts';
import { type Copying, openCopying } from '../../support/copying.ts';

const none = { platforms: [], os: [], arch: [] };
const open: DeletionPolicy = { tags: 'mirror', max: { percent: 100 } };
let copying: Copying;
const opened: Array<() => Promise<void> | void> = [];

beforeAll(() => {
  copying = openCopying();
});
afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});
afterAll(() => copying[Symbol.asyncDispose]());

/** An image of one blob; the same seed, the same digest. */
function put({ content }: EmbeddedRegistry, repository: string, tag: string, seed = tag): string {
  const blob = content.addBlob(repository, Buffer.from(seed));
  const config = { mediaType: 'application/octet-stream', digest: blob.digest, size: blob.size };
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [] };
  return content.putManifest(repository, tag, OCI_MANIFEST, Buffer.from(JSON.stringify(manifest))).digest;
}

/** A source with these tags, all copied to a destination by a rule that mirrors deletions. */
async function mirrored(tags: string[], options: RegistryOptions = {}, policy = open) {
  const source = await startRegistry();
  const destination = await startRegistry(options);
  const state: State = openMemoryState();
  opened.push(source.close, destination.close, state.close);
  const from = { registry: source.host, repository: 'app' };
  const to = { registry: destination.host, repository: 'mirror' };
  const rule: Rule = { id: 'r', from, select: { kind: 'all' }, to: [to], platforms: none, delete: policy };
  let clock = Date.now();
  const now = () => clock;
  const warnings: string[] = [];
  const emit = (event: { type: string; message?: string }) => {
    if (event.type === 'warning') warnings.push(event.message ?? '');
  };
  const pages: Array<{ planned: number; unchanged: number }> = [];
  const ledger = { ...state.ledger, recordPage: async (page: (typeof pages)[number]) => void pages.push(page) };
  const sendPlans = async () => {};
  const deps = { sendPlans, client: copying.context.client, signal: copying.context.signal, ledger, emit, now };
  let workers = 0;
  const work = (task: Task) => {
    workers += 1;
    return runTask({ copy: { ...copying.context, emit }, ledger, now, owner: `worker ${workers}` }, task);
  };

  async function plan(message: Partial<PlanMessage> = {}, rules = [rule]): Promise<Task[]> {
    clock += 1000;
    const tasks: Task[] = [];
    const queue = { send: async (sent: Task[]) => void tasks.push(...sent) };
    const request = { message: { version: 1 as const, runId: 'run-1', ruleId: 'r', attempt: 0, ...message }, rule };
    await planRule({ ...deps, queue }, { ...request, rules: new Map(rules.map((one) => [one.id, one])), force: false });
    clock += 1000;
    return tasks;
  }

  async function run(tasks: Task[]): Promise<Outcome[]> {
    const ends = await Promise.all(tasks.map(work));
    return ends.flatMap((end) => (end.kind === 'ended' ? end.outcomes : []));
  }

  for (const tag of tags) put(source, 'app', tag);
  await run(await plan());
  return {
    ...{ source, destination, ledger, pages, rule, from, to, warnings, deps, plan, run },
    /** Plans, works, and says of each deletion how it ended. */
    async sync(): Promise<string[]> {
      const outcomes = await run(await plan());
      return outcomes.map(
        ({ destination: at, result, note, failure }) =>
          `${at.tag} ${result}${(note ?? failure?.code) ? ` ${note ?? failure?.code}` : ''}`,
      );
    },
    at: (tag: string) => destination.content.manifest('mirror', tag)?.digest,
    left: () => destination.content.tags('mirror').join(' '),
  };
}

describe.each<[string, RegistryOptions['deletes']]>([
  ['by tag', 'tags'],
  ['by digest alone', 'digests'],
])('a registry that deletes %s', (_what, deletes) => {
  it('loses the tags that are gone at the source, once, and keeps their digests in the ledger', async () => {
    const { source, sync, left, ledger, to, at } = await mirrored(['1', '2', '3'], { deletes });
    const digest = at('2');
    source.content.deleteManifest('app', '2');
    expect(await sync()).toEqual(['2 deleted']);
    expect(left()).toBe('1 3');
    expect(await ledger.read({ ...to, tag: '2' })).toMatchObject({ how: 'deleted', destinationDigest: digest });
    expect(await sync()).toEqual([]);
    // It comes back with the source.
    put(source, 'app', '2');
    expect(await sync()).toEqual(['2 copied']);
    expect(left()).toBe('1 2 3');
  });

  it('keeps the manifest for other tags and indexes that name it', async () => {
    const { source, destination, sync, left, at } = await mirrored(['1', '2', 'amd64'], { deletes });
    const child = at('amd64') ?? '';
    put(destination, 'mirror', 'alias', '2');
    const size = destination.content.manifest('mirror', child)?.bytes.length;
    const index = {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ mediaType: OCI_MANIFEST, digest: child, size }],
    };
    destination.content.putManifest('mirror', 'index', OCI_INDEX, Buffer.from(JSON.stringify(index)));
    for (const tag of ['2', 'amd64']) source.content.deleteManifest('app', tag);
    expect((await sync()).sort()).toEqual(['2 deleted', 'amd64 deleted']);
    expect(left()).toBe('1 alias index');
    expect(at('alias')).toBeDefined();
    expect(destination.content.manifest('mirror', child)).toBeDefined();
  });

  it('keeps what somebody else put there since, and tells once', async () => {
    const { source, destination, sync, at, warnings } = await mirrored(['1', '2'], { deletes });
    const digest = put(destination, 'mirror', '2', 'by a person');
    source.content.deleteManifest('app', '2');
    expect(await sync()).toEqual([`2 unchanged kept: ${digest} is there, which was not copied by this rule`]);
    expect(at('2')).toBe(digest);
    expect(warnings).toHaveLength(1);
    expect(await sync()).toEqual([]);
  });
});

describe('a tag that is to be deleted', () => {
  it('stays where it came back since it was planned, or was copied again', async () => {
    const { source, plan, run, left } = await mirrored(['1', '2', '3']);
    for (const tag of ['2', '3']) source.content.deleteManifest('app', tag);
    const [second, third] = (await plan()) as [Task, Task];
    put(source, 'app', '2', 'new');
    put(source, 'app', '3', 'new');
    expect(await run([second])).toMatchObject([{ result: 'unchanged', note: 'kept: the source has it' }]);
    await run(await plan());
    source.content.deleteManifest('app', '3');
    expect(await run([third])).toMatchObject([{ result: 'unchanged', note: 'kept: it was copied again' }]);
    expect(left()).toBe('1 2 3');
  });

  it('is deleted once, whatever is delivered twice, at once or late', async () => {
    const { source, destination, plan, run } = await mirrored(['1', '2']);
    source.content.deleteManifest('app', '2');
    const [task] = (await plan()) as [Task];
    const ends = await run([task, task]);
    expect(ends.filter(({ result }) => result === 'deleted')).toHaveLength(1);
    expect(await run([task])).toMatchObject([{ result: 'unchanged', note: 'it is not there any more' }]);
    expect(destination.count('delete manifest')).toBe(1);
  });

  it('stays where the source is not there as a whole, or gives no answer', async () => {
    const { source, plan, run, left } = await mirrored(['1', '2']);
    source.content.deleteManifest('app', '2');
    const tasks = await plan();
    const { has, manifest } = source.content;
    source.content.has = () => false;
    expect(await run(tasks)).toMatchObject([{ result: 'failed', failure: { code: 'not-found' }, deletion: 'gone' }]);
    source.content.has = has;
    source.content.manifest = () => {
      throw new Error('broken');
    };
    expect(await run(tasks)).toMatchObject([{ result: 'failed', failure: { class: 'transient' } }]);
    source.content.manifest = manifest;
    expect(left()).toBe('1 2');
  });

  it('goes at the next try where a worker died between the two steps of a deletion by digest', async () => {
    const { source, destination, sync, left, to } = await mirrored(['1', '2'], { deletes: 'digests' });
    source.content.deleteManifest('app', '2');
    const { deleteManifest } = destination.content;
    let deletions = 0;
    destination.content.deleteManifest = (name, reference) => {
      deletions += 1;
      if (deletions > 1) throw new Error('broken');
      return deleteManifest(name, reference);
    };
    // Not even moved back: the worker is dead.
    const { putManifest } = destination.content;
    destination.content.putManifest = (name, reference, type, bytes) => {
      if (deletions > 1) throw new Error('broken');
      return putManifest(name, reference, type, bytes);
    };
    expect(await sync()).toEqual(['2 failed server-error']);
    expect(destination.content.manifest('mirror', '2')?.digest).toBe(placeholderDigest({ ...to, tag: '2' }));
    Object.assign(destination.content, { deleteManifest, putManifest });
    expect(await sync()).toEqual(['2 deleted']);
    expect(left()).toBe('1');
  });

  it('is as it was where the registry deletes nothing, or deletes manifests and keeps their tags', async () => {
    const closed = await mirrored(['1', '2'], { deletes: 'nothing' });
    const digest = closed.at('2');
    closed.source.content.deleteManifest('app', '2');
    expect(await closed.sync()).toEqual(['2 failed unsupported']);
    expect(closed.at('2')).toBe(digest);
    expect(closed.destination.count('put manifest')).toBe(2);

    const odd = await mirrored(['1', '2'], { deletes: 'digests' });
    odd.source.content.deleteManifest('app', '2');
    odd.destination.content.deleteManifest = () => true;
    expect(await odd.sync()).toEqual(['2 failed unsupported']);
    expect(odd.at('2')).toBe(digest);
  });

  it('stays where the list of the source is a lie: cut short, with random gaps, empty, or refused', async () => {
    const names = Array.from({ length: 30 }, (_, at) => `t${at + 10}`);
    const { source, sync, left, plan } = await mirrored(names, {}, { ...open, max: { percent: 100 } });
    const { tags } = source.content;
    for (const keep of [1, 2, 3, 5, 29]) {
      source.content.tags = (name) => tags(name).filter((_, at) => (at * 7 + keep) % 30 < keep);
      expect(await sync(), `${keep} of 30`).toHaveLength(30 - keep);
    }
    source.content.tags = () => [];
    await expect(plan()).rejects.toMatchObject({ code: 'too-many-deletions' });
    source.content.tags = () => {
      throw new Error('broken');
    };
    await expect(plan()).rejects.toMatchObject({ code: 'server-error' });
    source.content.tags = tags;
    const { has } = source.content;
    source.content.has = () => false;
    await expect(plan()).rejects.toMatchObject({ code: 'not-found' });
    source.content.has = has;
    expect(left()).toBe(names.join(' '));
  });

  it('is planned after the copies of its rule, which are made also where too much would go', async () => {
    const policy: DeletionPolicy = { tags: 'mirror', max: { count: 1 } };
    const { source, plan, pages, left, run, deps, rule } = await mirrored(['1', '2', '3', '4'], {}, policy);
    for (const tag of ['2', '3']) source.content.deleteManifest('app', tag);
    put(source, 'app', '5');
    const sent: Task[] = [];
    const queue = { send: async (tasks: Task[]) => void sent.push(...tasks) };
    const message = { version: 1 as const, runId: 'run-1', ruleId: 'r', attempt: 0 };
    await expect(planRule({ ...deps, queue }, { message, rule, force: false })).rejects.toMatchObject({
      class: 'permanent',
      code: 'too-many-deletions',
    });
    await run(sent);
    expect(left()).toBe('1 2 3 4 5');
    expect(pages.at(-1)).toMatchObject({ planned: 3, unchanged: 2 });
    put(source, 'app', '3');
    expect(await plan()).toMatchObject([{ deletion: 'gone', source: { tag: '2' } }]);
  });

  it('stays where another rule may bring it, also one for many repositories', async () => {
    const { source, destination, plan, rule } = await mirrored(['1', '2']);
    source.content.deleteManifest('app', '2');
    const other: Rule = { ...rule, id: 'other', from: { registry: 'o.example', repository: 'app' }, delete: undefined };
    expect(await plan({}, [rule, other])).toEqual([]);
    const whole = { registry: 'o.example', repository: '' };
    const discover = { depth: 'one' as const, match: [], except: [], max: 9 };
    const many = { ...other, from: whole, to: [{ ...whole, registry: destination.host }], discover };
    expect(await plan({}, [rule, many])).toEqual([]);
    expect(await plan({}, [rule, { ...many, to: [whole] }])).toHaveLength(1);
  });

  it('is told by plan and verify, and counted as planned', async () => {
    const { source, ledger, rule, deps, plan, pages, at } = await mirrored(['1', '2']);
    source.content.deleteManifest('app', '2');
    const { rows } = await costRules({ copy: copying.context, ledger }, [rule], { force: false, withInStep: false });
    expect(rows).toMatchObject([{ state: 'surplus', destination: { tag: '2' }, digest: at('2') }]);
    const verified = await verifyRule(deps, rule);
    expect(verified).toMatchObject([{ state: 'ok' }, { state: 'surplus', destination: { tag: '2' }, actual: at('2') }]);
    await plan();
    expect(pages.at(-1)).toMatchObject({ planned: 2, unchanged: 1 });
  });

  it('is planned alone where only a deletion was announced', async () => {
    const { source, plan, pages } = await mirrored(['1', '2']);
    source.content.deleteManifest('app', '2');
    put(source, 'app', '3');
    source.requests.length = 0;
    expect(await plan({ deletions: true })).toMatchObject([{ deletion: 'gone', source: { tag: '2' } }]);
    expect(source.count()).toBe(source.count('list tags', 'ping'));
    expect(pages.at(-1)).toMatchObject({ after: '', planned: 1, unchanged: 0 });
  });
});
