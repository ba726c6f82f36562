import { afterEach, describe, expect, it } from 'vitest';
import type { Failure } from '../../core/model/errors.ts';
import type { Repository } from '../../core/model/reference.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { noCounts, type Outcome } from '../../core/pipeline/ports/runs.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';

const start = 1_790_000_000_000;
const repository: Repository = { registry: 'registry.example:5000', repository: 'team/app' };
const other: Repository = { registry: 'registry.example:5000', repository: 'team/app2' };
const digest = (n: number): string => `sha256:${n.toString(16).padStart(64, '0')}`;

function record(tag: string, over: Partial<SyncRecord> = {}): SyncRecord {
  return {
    destination: { ...repository, tag },
    source: { registry: 'docker.io', repository: 'library/app', tag },
    sourceDigest: digest(1),
    destinationDigest: digest(1),
    platforms: '',
    at: start,
    how: 'copied',
    ...over,
  };
}

function outcome(tag: string, over: Partial<Outcome> = {}): Outcome {
  return {
    runId: 'run-1',
    ruleId: 'rule-1',
    source: { registry: 'docker.io', repository: 'library/app', tag },
    destination: { ...repository, tag },
    result: 'copied',
    bytes: 10,
    mounted: 1,
    present: 2,
    at: start,
    ...over,
  };
}

const failure: Failure = {
  class: 'permanent',
  code: 'denied',
  message: 'no',
  registry: 'registry.example:5000',
  status: 403,
};

async function collect<T>(pages: AsyncIterable<T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}

/** Runs `work` for all items, 50 at a time: adapters over the wire would be slow one by one. */
async function inBatches<T>(items: T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < items.length; at += 50) await Promise.all(items.slice(at, at + 50).map(work));
}

/**
 * What every adapter of the ledger port must do.
 *
 * @param make an empty ledger that takes the time from `now` (epoch ms)
 */
export function ledgerContract(
  name: string,
  make: (now: () => number) => Promise<{ ledger: Ledger; close: () => Promise<void> | void }>,
): void {
  describe(`${name}: ledger contract`, () => {
    const opened: Array<() => Promise<void> | void> = [];
    afterEach(async () => {
      for (const close of opened.splice(0)) await close();
    });
    async function open(): Promise<{ ledger: Ledger; clock: { now: number } }> {
      const clock = { now: start };
      const { ledger, close } = await make(() => clock.now);
      opened.push(close);
      return { ledger, clock };
    }

    describe('sync records', () => {
      it('gives back what was written, all fields', async () => {
        const { ledger } = await open();
        const records = [
          record('1.0', { how: 'found', platforms: 'linux/amd64', destinationDigest: digest(2), at: start + 5 }),
          record('none', { how: 'empty', destinationDigest: undefined }),
          record('signed', {
            referrers: { at: start, mark: 'm', manifests: [digest(3), `sha512:${'4'.repeat(128)}`] },
          }),
          record('bare', { referrers: { at: start, mark: '', manifests: [] } }),
          record('went', { how: 'deleted' }),
          record('x', { destination: { ...repository, digest: digest(7) }, source: { ...other, digest: digest(7) } }),
        ];
        for (const each of records) await ledger.write(each);
        for (const each of records) expect(await ledger.read(each.destination)).toEqual(each);
        expect(await ledger.read({ ...repository, tag: 'other' })).toBeUndefined();
        expect(await ledger.read({ ...other, tag: '1.0' })).toBeUndefined();
      });

      it('reads a repository in the byte order of its tags, and nothing of its neighbours', async () => {
        const { ledger } = await open();
        const tags = ['v1.10', 'v1.2', 'V1', '_x', 'a', 'B', '1.0-rc.1', '1.0', '10', '9', 'a-b', 'a.b', 'a_b', 'ab'];
        for (const tag of tags) await ledger.write(record(tag));
        await ledger.write(record('a', { destination: { ...other, tag: 'a' } }));
        await ledger.write(record('a', { destination: { ...repository, registry: 'registry.example', tag: 'a' } }));
        await ledger.write(record('a', { destination: { ...repository, repository: 'team', tag: 'a' } }));
        const read = await collect(ledger.readRepository(repository));
        const sorted = tags.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(read.map((each) => each.destination.tag)).toEqual(sorted);
        expect(await collect(ledger.readRepository({ ...repository, repository: 'unknown' }))).toEqual([]);
      });

      it('reads records by digest after those by tag, and leaves them out of a range of tags', async () => {
        const { ledger } = await open();
        const byDigest = record('x', { destination: { ...repository, digest: digest(3) } });
        await ledger.write(byDigest);
        await ledger.write(record('zz'));
        await ledger.write(record('aa'));
        const all = await collect(ledger.readRepository(repository));
        expect(all.map((each) => each.destination.tag ?? each.destination.digest)).toEqual(['aa', 'zz', digest(3)]);
        expect(await collect(ledger.readRepository(repository, { from: 'a' }))).toHaveLength(2);
        expect(await collect(ledger.readRepository(repository, { to: 'zz' }))).toHaveLength(2);
      });

      it('bounds a range of tags inclusively', async () => {
        const { ledger } = await open();
        for (const tag of ['a', 'b', 'b1', 'c', 'd']) await ledger.write(record(tag));
        const tags = async (range: { from?: string; to?: string }) =>
          (await collect(ledger.readRepository(repository, range))).map((each) => each.destination.tag);
        expect(await tags({ from: 'b', to: 'c' })).toEqual(['b', 'b1', 'c']);
        expect(await tags({ from: 'b2' })).toEqual(['c', 'd']);
        expect(await tags({ to: 'b' })).toEqual(['a', 'b']);
        expect(await tags({ from: 'x' })).toEqual([]);
      });

      it('reads a long repository page by page without a gap or a double', async () => {
        const { ledger } = await open();
        const tags = Array.from({ length: 2300 }, (_, n) => `t${String(n).padStart(5, '0')}`);
        // About 800 bytes each, so that an adapter with pages of 1 MB needs several too.
        await inBatches(tags, (tag) => ledger.write(record(tag, { platforms: 'p'.repeat(400) })));
        let pages = 0;
        const read: Array<string | undefined> = [];
        for await (const page of ledger.readRepository(repository)) {
          pages++;
          read.push(...page.map((each) => each.destination.tag));
        }
        expect(read).toEqual(tags);
        expect(pages).toBeGreaterThan(1);
        const part = await collect(ledger.readRepository(repository, { from: 't00100', to: 't01899' }));
        expect(part.map((each) => each.destination.tag)).toEqual(tags.slice(100, 1900));
      });

      it('keeps the newer record, whichever is written last', async () => {
        const { ledger } = await open();
        const newer = record('a', { at: start + 10, sourceDigest: digest(2) });
        await ledger.write(newer);
        await ledger.write(record('a', { at: start }));
        expect(await ledger.read(newer.destination)).toEqual(newer);
        const newest = record('a', { at: start + 20, destinationDigest: undefined, how: 'empty' });
        await ledger.write(newest);
        await ledger.write(newest);
        expect(await ledger.read(newer.destination)).toEqual(newest);
      });
    });

    describe('blob places', () => {
      it('finds the known places of blobs at one registry', async () => {
        const { ledger } = await open();
        await ledger.writeBlobs(repository, [digest(1), digest(2)], start);
        await ledger.writeBlobs(other, [digest(2)], start + 5);
        await ledger.writeBlobs({ registry: 'elsewhere.example', repository: 'x' }, [digest(1)], start);
        const found = await ledger.findBlobs(repository.registry, [digest(1), digest(2), digest(3)], start - 1);
        expect(found.map((place) => `${place.digest} ${place.repository} ${place.at}`).sort()).toEqual([
          `${digest(1)} team/app ${start}`,
          `${digest(2)} team/app ${start}`,
          `${digest(2)} team/app2 ${start + 5}`,
        ]);
        expect(await ledger.findBlobs(repository.registry, [], 0)).toEqual([]);
      });

      it('leaves out what was not confirmed since, and takes many digests at once', async () => {
        const { ledger } = await open();
        const many = Array.from({ length: 130 }, (_, n) => digest(n));
        await ledger.writeBlobs(repository, many, start);
        await ledger.writeBlobs(repository, [digest(5)], start + 100);
        const recent = await ledger.findBlobs(repository.registry, many, start + 50);
        expect(recent.map((place) => place.digest)).toEqual([digest(5)]);
        expect(await ledger.findBlobs(repository.registry, many, start - 1)).toHaveLength(130);
      });

      it('forgets places of one repository only', async () => {
        const { ledger } = await open();
        await ledger.writeBlobs(repository, [digest(1), digest(2)], start);
        await ledger.writeBlobs(other, [digest(1)], start);
        await ledger.forgetBlobs(repository, [digest(1), digest(9)]);
        const left = await ledger.findBlobs(repository.registry, [digest(1), digest(2)], 0);
        expect(left.map((place) => `${place.repository} ${place.digest}`).sort()).toEqual([
          `team/app ${digest(2)}`,
          `team/app2 ${digest(1)}`,
        ]);
      });
    });

    describe('leases', () => {
      it('gives a key to one owner at a time', async () => {
        const { ledger } = await open();
        const lease = await ledger.acquireLease('k', 'one', 1000);
        expect(lease).toEqual({ key: 'k', owner: 'one', until: start + 1000 });
        expect(await ledger.acquireLease('k', 'two', 1000)).toBeUndefined();
        expect(await ledger.acquireLease('other', 'two', 1000)).toBeDefined();
        await ledger.releaseLease(lease!);
        expect(await ledger.acquireLease('k', 'two', 1000)).toBeDefined();
      });

      it('lets exactly one of many at once have it', async () => {
        const { ledger } = await open();
        const owners = Array.from({ length: 20 }, (_, n) => `owner-${n}`);
        const taken = await Promise.all(owners.map((owner) => ledger.acquireLease('k', owner, 1000)));
        expect(taken.filter((lease) => lease !== undefined)).toHaveLength(1);
      });

      it('ends by itself; the late owner can neither renew nor release what another holds', async () => {
        const { ledger, clock } = await open();
        const old = await ledger.acquireLease('k', 'one', 1000);
        clock.now += 999;
        expect(await ledger.acquireLease('k', 'two', 1000)).toBeUndefined();
        clock.now += 2;
        expect(await ledger.acquireLease('k', 'two', 1000)).toBeDefined();
        expect(await ledger.renewLease(old!, 1000)).toBe(false);
        await ledger.releaseLease(old!);
        expect(await ledger.acquireLease('k', 'three', 1000)).toBeUndefined();
      });

      it('is prolonged by renewing and by taking it again', async () => {
        const { ledger, clock } = await open();
        const lease = await ledger.acquireLease('k', 'one', 1000);
        clock.now += 800;
        expect(await ledger.renewLease(lease!, 1000)).toBe(true);
        clock.now += 800;
        expect(await ledger.acquireLease('k', 'two', 1000)).toBeUndefined();
        expect(await ledger.acquireLease('k', 'one', 1000)).toMatchObject({ owner: 'one', until: clock.now + 1000 });
        clock.now += 800;
        expect(await ledger.acquireLease('k', 'two', 1000)).toBeUndefined();
      });

      it('cannot be renewed after it was released', async () => {
        const { ledger } = await open();
        const lease = await ledger.acquireLease('k', 'one', 1000);
        await ledger.releaseLease(lease!);
        expect(await ledger.renewLease(lease!, 1000)).toBe(false);
      });
    });

    it('keeps the later of two parks while it is in force', async () => {
      const { ledger, clock } = await open();
      expect(await ledger.parks(clock.now)).toEqual([]);
      await ledger.park('docker.io', start + 500, 'quota spent');
      await ledger.park('docker.io', start + 300, 'throttled');
      await ledger.park('quay.io', start + 100, 'throttled');
      expect((await ledger.parks(start)).toSorted((a, b) => a.registry.localeCompare(b.registry))).toEqual([
        { registry: 'docker.io', until: start + 500, reason: 'quota spent' },
        { registry: 'quay.io', until: start + 100, reason: 'throttled' },
      ]);
      expect((await ledger.parks(start + 200)).map((park) => park.registry)).toEqual(['docker.io']);
      expect(await ledger.parks(start + 501)).toEqual([]);
      await ledger.park('docker.io', start + 900, 'again');
      expect(await ledger.parks(start + 501)).toEqual([{ registry: 'docker.io', until: start + 900, reason: 'again' }]);
    });

    it('keeps the pulls of a rule, and lets one of many at once write them', async () => {
      const { ledger } = await open();
      expect(await ledger.readPulls('a')).toBeUndefined();
      const counts = { budget: { pulls: 80, windowMs: 3_600_000 }, parts: [[start, 1] as [number, number]] };
      const first = { ruleId: 'a', counts, version: 1 };
      const written = await Promise.all([1, 2, 3].map(() => ledger.writePulls(first)));
      expect(written.filter((done) => done)).toHaveLength(1);
      expect(await ledger.readPulls('a')).toEqual(first);
      const parts = [...counts.parts, [start + 9, 2] as [number, number]];
      const second = { ruleId: 'a', counts: { ...counts, parts }, version: 2 };
      expect(await ledger.writePulls({ ...second, version: 3 })).toBe(false);
      expect(await ledger.writePulls(second)).toBe(true);
      expect(await ledger.writePulls(second)).toBe(false);
      expect(await ledger.writePulls({ ...second, ruleId: 'b' })).toBe(false);
      expect(await ledger.listPulls()).toEqual([second]);
    });

    it('keeps the quota of a registry that was seen last', async () => {
      const { ledger } = await open();
      const quota = { registry: 'docker.io', limit: 100, remaining: 37, windowMs: 21_600_000, at: start };
      await ledger.noteQuota(quota);
      await ledger.noteQuota({ ...quota, remaining: 99, at: start - 1 });
      expect(await ledger.listQuotas()).toEqual([quota]);
      await ledger.noteQuota({ ...quota, remaining: 36, at: start + 1 });
      expect(await ledger.listQuotas()).toEqual([{ ...quota, remaining: 36, at: start + 1 }]);
    });

    describe('runs', () => {
      it('counts pages once, however often they are recorded, and outcomes by their results', async () => {
        const { ledger } = await open();
        await ledger.startRun({ id: 'run-1', trigger: 'rules.yaml', startedAt: start });
        await ledger.startRun({ id: 'run-1', trigger: 'rules.yaml', startedAt: start + 1 });
        const page = { runId: 'run-1', ruleId: 'rule-1', after: '', planned: 5, unchanged: 2, next: 'm' };
        await ledger.recordPage(page);
        await ledger.recordPage(page);
        await ledger.recordPage({ runId: 'run-1', ruleId: 'rule-1', after: 'm', planned: 3, unchanged: 1 });
        await ledger.recordPage({ runId: 'run-1', ruleId: 'rule-2', after: '', planned: 1, unchanged: 1 });
        await ledger.recordPage({ runId: 'run-2', ruleId: 'rule-1', after: '', planned: 50, unchanged: 50 });
        await ledger.recordOutcome(outcome('a'));
        await ledger.recordOutcome(outcome('a'));
        await ledger.recordOutcome(outcome('b', { bytes: 7 }));
        await ledger.recordOutcome(outcome('c', { result: 'unchanged', bytes: 0 }));
        await ledger.recordOutcome(outcome('d', { result: 'failed', bytes: 1, failure }));
        await ledger.recordOutcome(outcome('e', { result: 'deferred', bytes: 0, failure }));
        await ledger.recordOutcome(outcome('a', { runId: 'run-2' }));
        expect(await ledger.readRun('run-1')).toEqual({
          id: 'run-1',
          trigger: 'rules.yaml',
          startedAt: start,
          state: 'running',
          ruleFailures: [],
          counts: { planned: 9, copied: 2, deleted: 0, unchanged: 5, failed: 1, deferred: 1, bytes: 18 },
        });
        expect(await ledger.readRun('unknown')).toBeUndefined();
      });

      it('counts each repository that a rule for many has found as a rule to expand', async () => {
        const { ledger } = await open();
        await ledger.startRun({ id: 'run-1', trigger: 'test', startedAt: start, rules: 1 });
        const none = { runId: 'run-1', planned: 0, unchanged: 0 };
        await ledger.recordPage({ ...none, ruleId: 'many', after: '', repositories: 3 });
        expect((await ledger.readRun('run-1'))?.rules).toEqual({ total: 4, expanded: 1 });
        expect(await ledger.readRules('run-1')).toMatchObject([{ ruleId: 'many', isExpanded: false }]);
        await ledger.recordPage({ ...none, ruleId: 'many', repository: 'a', after: '', planned: 4, unchanged: 3 });
        await ledger.recordPage({ ...none, ruleId: 'many', repository: 'c', after: '', planned: 1 });
        await ledger.recordPage({ ...none, ruleId: 'many', repository: 'd', after: '' });
        expect(await ledger.readRules('run-1')).toMatchObject([
          { ruleId: 'many', planned: 5, unchanged: 3, isExpanded: true },
        ]);
        expect((await ledger.readRun('run-1'))?.rules).toEqual({ total: 4, expanded: 4 });
        await ledger.endRun('run-1', 'done', start + 1);
        expect((await ledger.readRun('run-1'))?.rules).toEqual({ total: 4, expanded: 4 });
      });

      it('keeps the outcomes of two rules that name one destination apart', async () => {
        const { ledger } = await open();
        await ledger.startRun({ id: 'run-1', trigger: 'test', startedAt: start });
        await ledger.recordOutcome(outcome('a', { ruleId: 'one' }));
        await ledger.recordOutcome(outcome('a', { ruleId: 'two', result: 'unchanged', bytes: 0 }));
        expect((await ledger.readRun('run-1'))?.counts).toMatchObject({ copied: 1, unchanged: 1 });
      });

      it('counts a tag by its later outcome, but `unchanged` does not take the place of `copied`', async () => {
        const { ledger } = await open();
        await ledger.startRun({ id: 'run-1', trigger: 't', startedAt: start });
        await ledger.recordOutcome(outcome('a', { result: 'failed', failure, bytes: 3 }));
        await ledger.recordOutcome(outcome('a', { at: start + 1, bytes: 4 }));
        await ledger.recordOutcome(outcome('a', { at: start + 2, result: 'unchanged', bytes: 0 }));
        await ledger.recordOutcome(outcome('b', { result: 'failed', failure, bytes: 0 }));
        await ledger.recordOutcome(outcome('b', { at: start + 1, result: 'unchanged', bytes: 0 }));
        await ledger.recordOutcome(outcome('c', { result: 'deleted', deletion: 'gone', bytes: 0 }));
        await ledger.recordOutcome(outcome('c', { at: start + 1, result: 'unchanged', bytes: 0 }));
        expect((await ledger.readRun('run-1'))?.counts).toEqual({
          planned: 0,
          copied: 1,
          deleted: 1,
          unchanged: 1,
          failed: 0,
          deferred: 0,
          bytes: 4,
        });
      });

      it('is ended by one call only', async () => {
        const { ledger } = await open();
        await ledger.startRun({ id: 'run-1', trigger: 't', startedAt: start });
        const ends = await Promise.all([1, 2, 3].map((n) => ledger.endRun('run-1', 'done', start + n)));
        expect(ends.filter((ended) => ended)).toHaveLength(1);
        expect(await ledger.endRun('run-1', 'interrupted', start + 9)).toBe(false);
        expect(await ledger.endRun('unknown', 'done', start)).toBe(false);
        const run = await ledger.readRun('run-1');
        expect(run?.state).toBe('done');
        expect(run?.endedAt).toBeGreaterThan(start);
        expect(run?.endedAt).toBeLessThan(start + 4);
      });

      it('tells how many rules are through: planned to the last page, or failed', async () => {
        const { ledger } = await open();
        await ledger.startRun({ id: 'run-1', trigger: 't', startedAt: start, rules: 3 });
        const rules = async () => (await ledger.readRun('run-1'))?.rules;
        expect(await rules()).toEqual({ total: 3, expanded: 0 });
        await ledger.recordPage({ runId: 'run-1', ruleId: 'a', after: '', planned: 1, unchanged: 0, next: 'x' });
        expect(await rules()).toEqual({ total: 3, expanded: 0 });
        await ledger.recordPage({ runId: 'run-1', ruleId: 'a', after: 'x', planned: 1, unchanged: 0 });
        await ledger.recordRuleFailure('run-1', 'b', failure);
        await ledger.recordRuleFailure('run-1', 'b', failure);
        expect(await rules()).toEqual({ total: 3, expanded: 2 });
        expect((await ledger.readRun('run-1'))?.ruleFailures).toEqual([{ ruleId: 'b', failure }]);
      });

      it('lists the newest first', async () => {
        const { ledger } = await open();
        for (const [id, startedAt] of [
          ['b', start + 2],
          ['a', start + 3],
          ['c', start + 1],
        ] as const) {
          await ledger.startRun({ id, trigger: 't', startedAt });
        }
        expect((await ledger.listRuns(2)).map((run) => run.id)).toEqual(['a', 'b']);
        expect((await ledger.listRuns(10)).map((run) => run.id)).toEqual(['a', 'b', 'c']);
      });

      it('knows the run before of the same trigger, however many others were in between', async () => {
        const { ledger } = await open();
        const begin = (id: string, trigger: string, startedAt: number) => ledger.startRun({ id, trigger, startedAt });
        await begin('first', 'nightly', start);
        await begin('broken', 'nightly', start + 1);
        await ledger.endRun('first', 'done', start + 1);
        await ledger.endRun('broken', 'interrupted', start + 2);
        for (let at = 0; at < 60; at += 1) {
          await begin(`other-${at}`, 'push', start + 10 + at);
          await ledger.endRun(`other-${at}`, 'done', start + 10 + at);
        }
        await begin('second', 'nightly', start + 100);
        await ledger.endRun('second', 'done', start + 101);
        await begin('third', 'nightly', start + 200);
        const found = async (id: string, startedAt: number, trigger = 'nightly') =>
          (await ledger.runBefore({ id, trigger, startedAt }))?.id;
        expect(await found('second', start + 100)).toBe('first');
        expect(await found('third', start + 200)).toBe('second');
        expect(await found('first', start)).toBeUndefined();
        expect(await found('new', start + 300, 'unheard of')).toBeUndefined();
      });

      it('counts by rule, and knows which rules are through', async () => {
        const { ledger } = await open();
        await ledger.startRun({ id: 'run-1', trigger: 't', startedAt: start, rules: 2 });
        await ledger.recordPage({ runId: 'run-1', ruleId: 'b', after: '', planned: 5, unchanged: 3, next: 'm' });
        await ledger.recordPage({ runId: 'run-1', ruleId: 'a', after: '', planned: 2, unchanged: 0, next: 'm' });
        await ledger.recordPage({ runId: 'run-1', ruleId: 'a', after: 'm', planned: 1, unchanged: 1 });
        await ledger.recordPage({ runId: 'run-1', ruleId: 'part', after: 'dead letter 1', planned: 1, unchanged: 0 });
        await ledger.recordOutcome(outcome('1', { ruleId: 'a' }));
        await ledger.recordOutcome(outcome('2', { ruleId: 'a', result: 'failed', failure, bytes: 4 }));
        await ledger.recordOutcome(outcome('1', { ruleId: 'pushed', result: 'deferred', failure, bytes: 0 }));
        await ledger.recordOutcome(outcome('2', { ruleId: 'pushed', result: 'deleted', bytes: 0 }));
        await ledger.recordOutcome(outcome('1', { ruleId: 'a', runId: 'run-2' }));
        const none = { ...noCounts, isExpanded: false };
        expect(await ledger.readRules('run-1')).toEqual([
          { ...none, ruleId: 'a', planned: 3, copied: 1, unchanged: 1, failed: 1, bytes: 14, isExpanded: true },
          { ...none, ruleId: 'b', planned: 5, unchanged: 3 },
          { ...none, ruleId: 'part', planned: 1 },
          { ...none, ruleId: 'pushed', deferred: 1, deleted: 1 },
        ]);
        expect(await ledger.readRules('unknown')).toEqual([]);
      });

      it('tells how one destination ended in the runs asked for, in their order', async () => {
        const { ledger } = await open();
        const written = [
          outcome('1', { runId: 'old', result: 'failed', failure }),
          outcome('1', { runId: 'new', at: start + 9 }),
          outcome('1', { runId: 'other' }),
          outcome('10', { runId: 'new' }),
          outcome('1', { runId: 'new', destination: { ...other, tag: '1' } }),
        ];
        for (const each of written) await ledger.recordOutcome(each);
        const destination = { ...repository, tag: '1' };
        expect(await ledger.readHistory(destination, ['new', 'unknown', 'old'])).toEqual([written[1], written[0]]);
        expect(await ledger.readHistory(destination, [])).toEqual([]);
      });

      it('reads outcomes whole, all or by result, over pages', async () => {
        const { ledger } = await open();
        await ledger.startRun({ id: 'run-1', trigger: 't', startedAt: start });
        const failed = outcome('f', { result: 'failed', failure, note: 'see the log', sourceDigest: digest(1) });
        const copied = Array.from({ length: 1200 }, (_, n) => outcome(`t${n}`));
        await inBatches([failed, ...copied], (each) => ledger.recordOutcome(each));
        await ledger.recordOutcome(outcome('elsewhere', { runId: 'run-2', result: 'failed', failure }));
        expect(await collect(ledger.readOutcomes('run-1', ['failed', 'deferred']))).toEqual([failed]);
        const all = await collect(ledger.readOutcomes('run-1'));
        expect(new Set(all.map((each) => each.destination.tag)).size).toBe(1201);
        expect(all).toHaveLength(1201);
      });
    });
  });
}
