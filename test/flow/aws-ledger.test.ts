import { type BatchWriteItemCommandInput, DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';
import { isRunComplete } from '../../core/pipeline/run-end.ts';
import { createLedger } from '../../functions/aws/ledger.ts';
import { type Dynamo, emulatorIdentity, startDynamo } from '../support/dynamo.ts';
import { ledgerContract } from '../support/ledger-contract.ts';
import * as items from '../support/ledger-items.ts';
import { uploadProgressContract } from '../support/upload-progress-contract.ts';

const digestA = `sha256:${'a'.repeat(64)}`;
const source = { registry: 'docker.io', repository: 'library/nginx', tag: '1' };
const mirror = { registry: '127.0.0.1:5000', repository: 'mirror/nginx' };

let dynamo: Dynamo;
let clock = 1_800_000_000_000;
let ledger: Ledger;
let runs = 0;

beforeAll(async () => {
  dynamo = await startDynamo();
  ledger = createLedger({ client: dynamo.client, table: dynamo.table, now: () => clock });
});

afterAll(() => dynamo.close());

ledgerContract('DynamoDB', async (now) => {
  const own = await startDynamo();
  return { ledger: createLedger({ client: own.client, table: own.table, now }), close: () => own.close() };
});

uploadProgressContract('DynamoDB', async (now) => {
  const own = await startDynamo();
  return { store: createLedger({ client: own.client, table: own.table, now }), close: () => own.close() };
});

function record(fields: Partial<SyncRecord> = {}): SyncRecord {
  return {
    destination: { ...mirror, tag: '1' },
    source,
    sourceDigest: digestA,
    destinationDigest: digestA,
    platforms: '',
    at: 1000,
    how: 'copied',
    ...fields,
  };
}

function outcome(runId: string, tag: string, fields: Partial<Outcome> = {}): Outcome {
  return {
    runId,
    ruleId: 'nginx',
    source,
    destination: { ...mirror, tag },
    result: 'copied',
    sourceDigest: digestA,
    destinationDigest: digestA,
    bytes: 10,
    mounted: 0,
    present: 1,
    at: 1000,
    ...fields,
  };
}

async function startRun(rules?: number): Promise<string> {
  const id = `run-${runs++}`;
  await ledger.startRun({ id, trigger: 'test', startedAt: clock, ...(rules !== undefined && { rules }) });
  return id;
}

async function all<T>(pages: AsyncIterable<T[]>): Promise<T[]> {
  const rows: T[] = [];
  for await (const page of pages) rows.push(...page);
  return rows;
}

describe('items of a table that version 0.1.0 wrote', () => {
  const now = () => 1_800_000_000_000;
  let own: Dynamo;
  let old: Ledger;

  beforeAll(async () => {
    own = await startDynamo();
    old = createLedger({ client: own.client, table: own.table, now });
    for (const Item of items.storedItems) await own.client.send(new PutItemCommand({ TableName: own.table, Item }));
  });
  afterAll(() => own.close());

  it('are read as what they were', async () => {
    const { records, outcomes, runId, endedRunId, mirror } = items;
    expect(await all(old.readRepository(mirror))).toEqual(records);
    expect(await old.findBlobs(mirror.registry, [digestA], 0)).toEqual([
      { digest: digestA, repository: mirror.repository, at: now() },
    ]);
    expect(await old.parks(now())).toEqual([
      { registry: 'docker.io', until: now() + 60_000, reason: 'too many requests' },
    ]);
    expect(await old.acquireLease('tag registry.example.com:5000/mirror/nginx:1', 'other', 1)).toBeUndefined();
    const rows = await all(old.readOutcomes(runId));
    expect(rows.sort((a, b) => (a.source.tag! < b.source.tag! ? -1 : 1))).toEqual(outcomes);
    expect(await old.listRuns(2)).toEqual([
      {
        id: runId,
        trigger: 'daily',
        startedAt: now(),
        state: 'running',
        rules: { total: 3, expanded: 2 },
        ruleFailures: [{ ruleId: 'redis', failure: outcomes[1]?.failure }],
        counts: { planned: 5, copied: 1, deleted: 0, unchanged: 3, failed: 1, deferred: 0, bytes: 1234 },
      },
      {
        id: endedRunId,
        trigger: 'daily',
        startedAt: now() - 86_400_000,
        endedAt: now() - 86_000_000,
        state: 'done',
        rules: { total: 1, expanded: 1 },
        ruleFailures: [],
        counts: { planned: 7, copied: 0, deleted: 0, unchanged: 7, failed: 0, deferred: 0, bytes: 0 },
      },
    ]);
  });

  it('are still written in the same form', async () => {
    const fresh = await startDynamo();
    await items.fillLedger(createLedger({ client: fresh.client, table: fresh.table, now }));
    const { Items = [] } = await fresh.client.send(new ScanCommand({ TableName: fresh.table }));
    await fresh.close();
    const keyed = (list: typeof Items) =>
      Object.fromEntries(
        list.map(({ pk, sk, endedBy, ...fields }) => [
          `${pk?.S} ${sk?.S}`,
          { ...fields, ended: endedBy !== undefined },
        ]),
      );
    expect(keyed(Items)).toEqual(keyed(items.storedItems));
  });

  it('that cannot be read are named by their key', async () => {
    const Item = { pk: { S: 'repo#r.example/a' }, sk: { S: 'tag#1' }, source: { N: '1' } };
    await own.client.send(new PutItemCommand({ TableName: own.table, Item }));
    const reading = old.read({ registry: 'r.example', repository: 'a', tag: '1' });
    await expect(reading).rejects.toMatchObject({
      class: 'permanent',
      message: 'read ledger: item repo#r.example/a tag#1: source must be string',
    });
  });
});

describe('sync records', () => {
  it('come back as they were written, from registries whose names have colons in them', async () => {
    const written = record({
      destination: { registry: '[::1]:5000', repository: 'a', digest: digestA },
      source: { registry: '[::1]:5001', repository: 'b/c', digest: digestA },
    });
    await ledger.write(written);
    expect(await ledger.read(written.destination)).toEqual(written);
    expect((await all(ledger.readRepository({ registry: '[::1]:5000', repository: 'a' }))).length).toBe(1);
  });

  it('keep the newest, whatever order concurrent writers come in', async () => {
    const destination = { ...mirror, tag: 'raced' };
    const writes = [5, 9, 2, 7, 9, 1, 8, 3].map((at) => record({ destination, at }));
    await Promise.all(writes.map((one) => ledger.write(one)));
    expect((await ledger.read(destination))?.at).toBe(9);
  });
});

it('a range of tags that is the wrong way round holds nothing', async () => {
  await ledger.write(record({ destination: { ...mirror, tag: 'b' } }));
  expect(await all(ledger.readRepository(mirror, { from: 'c', to: 'a' }))).toEqual([]);
});

describe('blobs', () => {
  it('are all written although the table takes only a part of each batch', async () => {
    const refusals: number[] = [];
    const client = partialClient((requests) => {
      const taken = requests.slice(0, Math.max(1, Math.floor(requests.length / 2)));
      refusals.push(requests.length - taken.length);
      return taken.length;
    });
    const digests = Array.from({ length: 60 }, (_, n) => `sha256:${String(n).padStart(64, '0')}`);
    const repository = { registry: 'partial.test', repository: 'a' };
    await createLedger({ client, table: dynamo.table }).writeBlobs(repository, digests, 100);
    client.destroy();

    expect(refusals.filter((refused) => refused > 0).length).toBeGreaterThan(3);
    const places = await ledger.findBlobs('partial.test', digests, 0);
    expect(places.map(({ digest }) => digest).sort()).toEqual(digests);
  });

  it('fail as transient where the table goes on refusing', async () => {
    let calls = 0;
    const client = partialClient(() => {
      calls += 1;
      return 0;
    });
    const writing = createLedger({ client, table: dynamo.table }).writeBlobs(mirror, [digestA], 100);
    await expect(writing).rejects.toMatchObject({ class: 'transient', code: 'throttled' });
    client.destroy();
    expect(calls).toBe(7);
  });
});

/** A client whose batch writes reach the table only in part; `take` says how many of the requests. */
function partialClient(take: (requests: unknown[]) => number): DynamoDBClient {
  const client = new DynamoDBClient({ ...emulatorIdentity, endpoint: dynamo.endpoint });
  client.middlewareStack.add(
    (next) => async (args) => {
      const input = args.input as BatchWriteItemCommandInput;
      const requests = input.RequestItems?.[dynamo.table];
      if (!requests) return next(args);
      const taken = take(requests);
      const unprocessed = { [dynamo.table]: requests.slice(taken) };
      if (taken === 0) return { response: {}, output: { $metadata: {}, UnprocessedItems: unprocessed } } as never;
      const result = await next({
        ...args,
        input: { RequestItems: { [dynamo.table]: requests.slice(0, taken) } },
      } as never);
      if (taken < requests.length) (result.output as { UnprocessedItems?: unknown }).UnprocessedItems = unprocessed;
      return result;
    },
    { step: 'initialize' },
  );
  return client;
}

describe('leases', () => {
  it('are taken over at the moment they expire, by one of many, and are lost to the first owner from then on', async () => {
    const lease = await ledger.acquireLease('slow', 'first', 1000);
    clock += 1000;
    expect(await ledger.renewLease(lease!, 1000)).toBe(false);
    const owners = Array.from({ length: 12 }, (_, n) => `owner-${n}`);
    const taken = await Promise.all(owners.map((owner) => ledger.acquireLease('slow', owner, 1000)));
    expect(taken.filter((each) => each !== undefined)).toHaveLength(1);
  });
});

describe('runs', () => {
  it('count each page and each destination once under repeats and reordering', async () => {
    const runId = await startRun(1);
    const page = { runId, ruleId: 'nginx', after: '', planned: 3, unchanged: 0 };
    await ledger.recordPage(page);
    await ledger.recordPage(page);
    await ledger.recordOutcome(outcome(runId, 'a', { at: 20 }));
    await ledger.recordOutcome(outcome(runId, 'a', { at: 20 }));
    // A doubled task that finds its own work done, and an old failure that comes late.
    await ledger.recordOutcome(outcome(runId, 'a', { at: 30, result: 'unchanged', bytes: 0 }));
    await ledger.recordOutcome(outcome(runId, 'a', { at: 10, result: 'failed', bytes: 0 }));
    // A failure that a later try has mended.
    await ledger.recordOutcome(outcome(runId, 'b', { at: 10, result: 'failed', bytes: 0 }));
    await ledger.recordOutcome(outcome(runId, 'b', { at: 20 }));
    await ledger.recordOutcome(outcome(runId, 'c', { result: 'unchanged', bytes: 0 }));

    expect((await ledger.readRun(runId))?.counts).toEqual({
      planned: 3,
      copied: 2,
      deleted: 0,
      unchanged: 1,
      failed: 0,
      deferred: 0,
      bytes: 20,
    });
  });

  it('are complete when every rule is through and every planned tag has its outcome, not before', async () => {
    const runId = await startRun(2);
    const complete = async () => isRunComplete((await ledger.readRun(runId))!);
    expect(await complete()).toBe(false);
    await ledger.recordPage({ runId, ruleId: 'nginx', after: '', planned: 1000, unchanged: 999, next: 'm' });
    await ledger.recordOutcome(outcome(runId, 'a'));
    expect(await complete()).toBe(false);
    await ledger.recordPage({ runId, ruleId: 'nginx', after: 'm', planned: 2, unchanged: 1 });
    expect(await complete()).toBe(false);
    await ledger.recordRuleFailure(runId, 'broken', { class: 'permanent', code: 'not-found', message: 'no such' });
    expect(await complete()).toBe(false);
    await ledger.recordOutcome(outcome(runId, 'n', { result: 'failed' }));
    const enders = await Promise.all([1, 2, 3, 4].map(() => ledger.endRun(runId, 'done', 7)));
    expect(enders.filter((isOurs) => isOurs)).toHaveLength(1);
    expect(await ledger.readRun(runId)).toMatchObject({ id: runId, state: 'done', endedAt: 7 });
    expect(await complete()).toBe(false);
  });

  it('count every tag once where a page was planned twice with different borders, and wait for a page that is missing', async () => {
    const runId = await startRun(1);
    const page = (after: string, planned: number, next?: string) =>
      ledger.recordPage({
        runId,
        ruleId: 'nginx',
        after,
        planned,
        unchanged: planned,
        ...(next !== undefined && { next }),
      });
    const sums = async () => {
      const run = await ledger.readRun(runId);
      return [run?.counts.planned, run?.rules?.expanded];
    };
    await page('', 10, 'f');
    await page('f', 10, 'p');
    // Delivered again after tags were deleted: the same first page reaches further now.
    await page('', 10, 'h');
    await page('p', 5);
    expect(await sums()).toEqual([15, 0]);
    await page('h', 10, 'q');
    await page('q', 4);
    expect(await sums()).toEqual([24, 1]);
  });

  it('end for exactly one of many callers, which freezes the counts', async () => {
    const runId = await startRun(1);
    await ledger.recordPage({ runId, ruleId: 'nginx', after: '', planned: 1, unchanged: 0 });
    await ledger.recordOutcome(outcome(runId, 'a'));
    const ends = await Promise.all([1, 2, 3, 4, 5, 6].map((at) => ledger.endRun(runId, 'done', at)));
    expect(ends.filter(Boolean)).toHaveLength(1);
    const ended = await ledger.readRun(runId);
    expect(ended).toMatchObject({ state: 'done', rules: { total: 1, expanded: 1 }, counts: { planned: 1, copied: 1 } });
    expect(ended?.endedAt).toBe(ends.indexOf(true) + 1);
    expect(await ledger.endRun(runId, 'interrupted', 9)).toBe(false);
    expect(await ledger.endRun('no-such-run', 'done', 9)).toBe(false);
    // Started again by a repeated event, it stays ended.
    await ledger.startRun({ id: runId, trigger: 'test', startedAt: clock + 1, rules: 1 });
    expect(await ledger.readRun(runId)).toEqual(ended);
  });

  it('are ended by the caller whose answer was lost on the way', async () => {
    const runId = await startRun(0);
    let losses = 0;
    const client = new DynamoDBClient({ ...emulatorIdentity, endpoint: dynamo.endpoint });
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const result = await next(args);
        if (context.commandName === 'UpdateItemCommand' && losses++ === 0) {
          throw Object.assign(new Error('socket hang up'), { name: 'TimeoutError', $retryable: {} });
        }
        return result;
      },
      { step: 'deserialize', priority: 'low' },
    );
    expect(await createLedger({ client, table: dynamo.table }).endRun(runId, 'done', 5)).toBe(true);
    client.destroy();
    expect(losses).toBe(2);
  });

  it('are listed although the first start broke off between its two writes', async () => {
    const client = new DynamoDBClient({ ...emulatorIdentity, endpoint: dynamo.endpoint });
    let puts = 0;
    client.middlewareStack.add(
      (next) => (args) => {
        if (++puts === 2) throw new Error('the process went away');
        return next(args);
      },
      { step: 'initialize' },
    );
    clock += 1000;
    const run = { id: 'broken-off', trigger: 'test', startedAt: clock };
    await expect(createLedger({ client, table: dynamo.table }).startRun(run)).rejects.toThrow('went away');
    client.destroy();
    await ledger.startRun({ ...run, startedAt: clock + 7 });
    expect(await ledger.listRuns(1)).toMatchObject([run]);
  });

  it('are listed newest first, each once', async () => {
    clock += 1000;
    const older = await startRun();
    clock += 1000;
    const newer = await startRun();
    await ledger.startRun({ id: older, trigger: 'again', startedAt: clock + 5 });
    const listed = await ledger.listRuns(2);
    expect(listed.map(({ id }) => id)).toEqual([newer, older]);
    expect((await ledger.listRuns(100)).filter(({ id }) => id === older)).toHaveLength(1);
    expect(await ledger.readRun('no-such-run')).toBeUndefined();
  });
});

it('a table that is not there is an error of configuration', async () => {
  const reading = createLedger({ client: dynamo.client, table: 'absent' }).read({ ...mirror, tag: '1' });
  await expect(reading).rejects.toMatchObject({ class: 'configuration', code: 'not-found' });
});
