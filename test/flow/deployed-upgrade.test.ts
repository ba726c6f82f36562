import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type AttributeValue, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startResumableHash } from '../../core/copy/resumable-hash.ts';
import { createLedger } from '../../functions/aws/ledger.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';
import { webhooksFile } from '../support/synth.ts';

/** What mid-run.ts found in the stack of an earlier version; fixtures/README.md says of which. */
interface MidRun {
  at: number;
  runs: Record<'done' | 'denied' | 'again' | 'parked' | 'killed' | 'waiting' | 'cursor' | 'planned', string>;
  /** Of the rules, by name. */
  tags: Record<string, string[]>;
  queues: Record<string, string[]>;
  items: Record<string, AttributeValue>[];
}

const text = readFileSync(new URL('../support/fixtures/mid-run.json', import.meta.url), 'utf8');
const recorded = JSON.parse(text) as MidRun;

/** The recorded state, as if it were of a minute ago, with these registries. */
function movedTo(hosts: Record<string, string>): MidRun {
  const late = Date.now() - 60_000 - recorded.at;
  const century = String(recorded.at).slice(0, 4);
  let moved = text.replace(new RegExp(`(?<![0-9a-f])(000)?(${century}\\d{9})(?!\\d)`, 'g'), (_all, zeros = '', at) => {
    return `${zeros}${Number(at) + late}`;
  });
  for (const [name, host] of Object.entries(hosts)) moved = moved.replaceAll(`${name}.test:5000`, host);
  return JSON.parse(moved) as MidRun;
}

/** An item whose bytes stand in JSON as Base64. */
function withBytes(item: Record<string, AttributeValue>): Record<string, AttributeValue> {
  const entries = Object.entries(item).map(([name, value]): [string, AttributeValue] => [
    name,
    value.B === undefined ? value : { B: Buffer.from(String(value.B), 'base64') },
  ]);
  return Object.fromEntries(entries);
}

describe('this version, deployed over an earlier one in the middle of runs', () => {
  let registries: Record<'source' | 'destination' | 'busy', EmbeddedRegistry>;
  let stack: Deployment;
  let old: MidRun;

  beforeAll(async () => {
    const [source, destination, busy] = await Promise.all([startRegistry(), startRegistry(), startRegistry()]);
    registries = { source, destination, busy };
    old = movedTo({ source: source.host, destination: destination.host, busy: busy.host });
    for (const [name, list] of Object.entries(old.tags)) {
      for (const tag of list) {
        const places = name === 'done' ? [source, destination] : [source];
        for (const { url } of places)
          await pushImage({ url, repository: `${name}/app` }, { seed: `${name} ${tag}`, tag });
      }
    }
    const rules = Object.keys(old.tags).map((name) => ({
      name,
      from: `${source.host}/${name}/app`,
      to: [`${name === 'parked' ? busy.host : destination.host}/${name}/app`],
    }));
    const file = webhooksFile(`ci: { dialect: plain, token: $CI_TOKEN, allow: ["${source.host}"] }`);
    stack = await deploy(rules, { webhooksFile: file });
    const logins = Object.values(registries).map(({ host }) => [host, { insecure: true }]);
    stack.host.putSecret('Logins/Secret', JSON.stringify(Object.fromEntries(logins)));
    const { client } = stack.host.dynamo;
    for (const Item of old.items.map(withBytes)) {
      await client.send(new PutItemCommand({ TableName: stack.host.table, Item }));
    }
    // The registry was parked for an hour, and the lease of the killed copier was for a minute.
    stack.host.advance(3_700_000);
    for (const [queue, bodies] of Object.entries(old.queues))
      for (const body of bodies) await stack.host.send(queue, body);
  });
  afterAll(async () => {
    await stack?.close();
    await Promise.all(Object.values(registries ?? {}).map((registry) => registry.close()));
  });

  const digestAt = ({ content }: EmbeddedRegistry, repository: string, tag: string) =>
    content.has(repository) ? content.manifest(repository, tag)?.digest : undefined;
  const missing = (name: string) =>
    (old.tags[name] ?? []).filter((tag) => {
      const { source, destination, busy } = registries;
      return (
        digestAt(name === 'parked' ? busy : destination, `${name}/app`, tag) !== digestAt(source, `${name}/app`, tag)
      );
    });

  it.each(['waiting', 'killed', 'parked', 'planned', 'cursor'] as const)('ends the run %s', async (name) => {
    const planned = recorded.tags[name]!.length;
    expect((await stack.ended(old.runs[name])).counts).toMatchObject({ planned, copied: planned, failed: 0 });
    expect(await stack.audit(old.runs[name], planned)).toEqual([]);
    expect(missing(name)).toEqual([]);
  });

  it('copies what was pushed', async () => {
    const { runId } = JSON.parse(old.queues['PushedTasks/Queue']?.[0] ?? '');
    expect((await stack.ended(runId)).counts).toMatchObject({ planned: 1, copied: 1 });
    expect(missing('pushed')).toEqual([]);
  });

  it('gives dead letters and failed tags a second chance', async () => {
    expect((await stack.ledger.readRun(old.runs.again))?.state).toBe('running');
    expect(await stack.host.fire('Redrive')).toMatchObject({ ok: true });
    expect((await stack.ended(old.runs.again)).counts).toMatchObject({ planned: 1, copied: 1 });
    expect(await stack.outcomes(old.runs.denied)).toMatchObject([{ result: 'failed', failure: { code: 'denied' } }]);
    const answer = await stack.host.invoke('Redrive/Function', { code: 'denied' });
    expect(answer).toMatchObject({ ok: true });
    await stack.host.settle();
    expect([...missing('again'), ...missing('denied')]).toEqual([]);
  });

  it('goes on with the hash of an upload that was under way', async () => {
    const content = Buffer.from('a layer of an earlier version\n'.repeat(100));
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    const repository = { registry: registries.destination.host, repository: 'large/app' };
    const ledger = createLedger({ client: stack.host.dynamo.client, table: stack.host.table });
    const progress = await ledger.readUpload(repository, digest);
    expect(progress).toMatchObject({ offset: 2000 });
    const { offset, hashState: state } = progress!;
    const hash = await startResumableHash(digest, { everyBytes: 1000, from: { offset, state } });
    hash.update(content.subarray(offset));
    expect(`sha256:${hash.digest('hex')}`).toBe(digest);
  });

  it('finds in step what was recorded, and copies none of it', async () => {
    const { destination } = registries;
    destination.requests.length = 0;
    const run = await stack.start('done');
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 2, unchanged: 2, copied: 0 });
    expect(destination.count('head manifest', 'get manifest', 'head blob', 'start upload')).toBe(0);
  });

  it('leaves no run open, no message behind, and asks for no right that it lacks', async () => {
    await stack.host.settle();
    const runs = await stack.ledger.listRuns(100);
    expect(runs.filter(({ state }) => state === 'running').map(({ id }) => id)).toEqual([]);
    expect(runs.length).toBeGreaterThanOrEqual(Object.keys(recorded.runs).length + 1);
    for (const queue of Object.keys(old.queues)) expect([queue, stack.host.queue(queue).bodies()]).toEqual([queue, []]);
    expect(stack.host.permissions.denied()).toEqual([]);
  });
});
