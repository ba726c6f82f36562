import { readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import type { Database } from '../../machine/state/database.ts';
import { closeAbandonedRuns, interruptRun, takeOverRuns } from '../../machine/state/interrupted.ts';
import { openLedger } from '../../machine/state/ledger.ts';
import { prune } from '../../machine/state/prune.ts';
import { openQueue } from '../../machine/state/queue.ts';
import { countQueue, task, temporaryState } from '../support/state.ts';

const state = temporaryState();
afterEach(() => state.clean());

const now = 1_790_000_000_000;
const dayMs = 24 * 60 * 60 * 1000;

async function begin(database: Database, id = 'run-1'): Promise<void> {
  await openLedger(database).startRun({ id, trigger: 't', startedAt: now });
}

async function outcomes(database: Database, runId = 'run-1'): Promise<Outcome[]> {
  const all: Outcome[] = [];
  for await (const page of openLedger(database).readOutcomes(runId)) all.push(...page);
  return all;
}

function copied(tag: string): Outcome {
  const { runId, ruleId, source, destinations } = task(tag);
  return {
    ...{ runId, ruleId, source, destination: destinations[0]!, at: now },
    ...{ result: 'copied', bytes: 1, mounted: 0, present: 0 },
  };
}

describe('closeAbandonedRuns', () => {
  it('defers what an interrupted run left in the queue and keeps what it had finished', async () => {
    const directory = state.directory();
    const gone = state.open(directory);
    await begin(gone);
    const queue = openQueue(gone);
    const two = [...task('b').destinations, { registry: 'second.example', repository: 'app', tag: 'b' }];
    await queue.send([task('a'), task('b', { destinations: two })]);
    await openLedger(gone).recordPage({ runId: 'run-1', ruleId: 'rule-1', after: '', planned: 5, unchanged: 2 });
    await queue.receive({ most: 1, runId: 'run-1', owner: 'w', visibilityMs: 60_000 });
    await openLedger(gone).recordOutcome(copied('a'));
    await openLedger(gone).recordOutcome(copied('b'));
    await queue.sendPlans([{ version: 1, runId: 'run-1', ruleId: 'rule-2', attempt: 0 }]);
    gone.close();

    const later = state.open(directory);
    expect(closeAbandonedRuns(later, now + 5)).toEqual(['run-1']);
    expect(await openLedger(later).readRun('run-1')).toMatchObject({
      state: 'interrupted',
      endedAt: now + 5,
      counts: { planned: 5, copied: 2, unchanged: 2, failed: 0, deferred: 1 },
      ruleFailures: [{ ruleId: 'rule-2', failure: { code: 'aborted' } }],
    });
    const deferred = (await outcomes(later)).filter((outcome) => outcome.result === 'deferred');
    expect(deferred).toMatchObject([
      {
        destination: { registry: 'second.example' },
        source: task('b').source,
        failure: { class: 'transient', code: 'aborted', message: 'the run was interrupted' },
      },
    ]);
    expect(await openQueue(later).nextVisibleAt('run-1')).toBeUndefined();
    expect(closeAbandonedRuns(later, now + 6)).toEqual([]);
  });

  it('counts as planned what was queued before its page was recorded', async () => {
    const directory = state.directory();
    const gone = state.open(directory);
    await begin(gone);
    await openLedger(gone).recordPage({ runId: 'run-1', ruleId: 'rule-1', after: '', planned: 4, unchanged: 4 });
    await openQueue(gone).send([task('a'), task('b')]);
    gone.close();
    const later = state.open(directory);
    closeAbandonedRuns(later, now);
    expect((await openLedger(later).readRun('run-1'))?.counts).toMatchObject({ planned: 6, unchanged: 4, deferred: 2 });
  });

  it('leaves the runs of living processes alone, its own among them', async () => {
    const directory = state.directory();
    const living = state.open(directory);
    const other = state.open(directory);
    await begin(living, 'run-1');
    await begin(other, 'run-2');
    await openQueue(living).send([task('a')]);
    expect(closeAbandonedRuns(other, now)).toEqual([]);
    expect(takeOverRuns(other, now)).toEqual([]);
    expect(await openLedger(other).readRun('run-1')).toMatchObject({ state: 'running' });
    expect(countQueue(living, 'run-1')).toMatchObject({ visible: 1 });
  });

  it('leaves durable tasks to be taken over, their messages visible at once', async () => {
    const directory = state.directory();
    const gone = state.open(directory);
    await begin(gone);
    await openQueue(gone).send([task('promised')], { durable: true });
    await openQueue(gone).receive({ most: 1, runId: 'run-1', owner: 'w', visibilityMs: 3_600_000 });
    gone.close();
    const later = state.open(directory);
    expect(closeAbandonedRuns(later, now)).toEqual([]);
    expect(takeOverRuns(later, now)).toEqual(['run-1']);
    const [delivery] = await openQueue(later).receive({ most: 1, runId: 'run-1', owner: 'w', visibilityMs: 1000 });
    expect(delivery?.body).toEqual(task('promised'));
    expect(closeAbandonedRuns(state.open(directory), now)).toEqual([]);
  });
});

describe('interruptRun', () => {
  it('does nothing to a run that has ended', async () => {
    const database = state.open(state.directory());
    await begin(database);
    await openLedger(database).endRun('run-1', 'done', now + 1);
    interruptRun(database, 'run-1', now + 2);
    expect(await openLedger(database).readRun('run-1')).toMatchObject({ state: 'done', endedAt: now + 1 });
  });
});

describe('prune', () => {
  it('keeps the newest hundred runs and those of thirty days, and what is not ended', async () => {
    const database = state.open(state.directory());
    const ledger = openLedger(database);
    const old = now - 31 * dayMs;
    await ledger.startRun({ id: 'oldest-running', trigger: 't', startedAt: old - 1000 });
    for (let n = 0; n < 105; n++) {
      await ledger.startRun({ id: `run-${n}`, trigger: 't', startedAt: old + n });
      await ledger.recordOutcome({ ...copied('a'), runId: `run-${n}` });
      await ledger.recordRuleFailure(`run-${n}`, 'r', { class: 'transient', code: 'network', message: 'x' });
      await ledger.endRun(`run-${n}`, 'done', old + n);
    }
    prune(database, now);
    const left = (await ledger.listRuns(1000)).map((run) => run.id);
    expect(left).toHaveLength(101);
    expect(left).toContain('oldest-running');
    expect(left).not.toContain('run-4');
    expect(await outcomes(database, 'run-4')).toEqual([]);
    expect(await outcomes(database, 'run-5')).toHaveLength(1);

    for (let n = 0; n < 105; n++) await ledger.startRun({ id: `new-${n}`, trigger: 't', startedAt: now - dayMs });
    for (let n = 0; n < 105; n++) await ledger.endRun(`new-${n}`, 'done', now);
    prune(database, now);
    expect((await ledger.listRuns(1000)).filter((run) => run.id.startsWith('new-'))).toHaveLength(105);
    expect(await ledger.readRun('run-104')).toBeUndefined();
  });

  it('drops what has expired and keeps the rest', async () => {
    const database = state.open(state.directory());
    const clock = { now };
    const ledger = openLedger(database, { now: () => clock.now });
    await ledger.acquireLease('ended', 'o', 10);
    await ledger.acquireLease('held', 'o', 1000);
    await ledger.park('past.example', now + 10, 'x');
    await ledger.park('parked.example', now + 1000, 'x');
    const repository = { registry: 'r', repository: 'a' };
    await ledger.writeBlobs(repository, ['sha256:1'], now - 31 * dayMs);
    await ledger.writeBlobs(repository, ['sha256:2'], now - 29 * dayMs);
    await openQueue(database).send([task('a')]);
    prune(database, now + 500);
    expect(database.all('SELECT key FROM leases')).toEqual([{ key: 'held' }]);
    expect(database.all('SELECT registry FROM parks')).toEqual([{ registry: 'parked.example' }]);
    expect(await ledger.findBlobs('r', ['sha256:1', 'sha256:2'], 0)).toHaveLength(1);
    expect(countQueue(database, 'run-1')).toMatchObject({ visible: 1 });
  });

  it('takes away old locks of the dead, never those of the living', () => {
    const directory = state.directory();
    const database = state.open(directory);
    const living = database.owner();
    const owners = join(directory, 'owners');
    const old = new Date(now - 2 * dayMs);
    utimesSync(join(owners, `${living}.lock`), old, old);
    for (const [name, date] of [
      ['dead.lock', old],
      ['young.lock', new Date(now)],
    ] as const) {
      writeFileSync(join(owners, name), '');
      utimesSync(join(owners, name), date, date);
    }
    prune(database, now);
    expect(readdirSync(owners).sort()).toEqual([`${living}.lock`, 'young.lock'].sort());
  });
});
