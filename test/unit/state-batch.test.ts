import { afterEach, describe, expect, it, vi } from 'vitest';
import { createBatch } from '../../machine/state/batch.ts';
import type { Database } from '../../machine/state/database.ts';
import { openLedger } from '../../machine/state/ledger.ts';
import { openQueue } from '../../machine/state/queue.ts';
import { task, temporaryState } from '../support/state.ts';

/** A transaction that only counts, and a batch on it. */
function counted(fault?: () => void) {
  const transactions: boolean[] = [];
  const batch = createBatch((work, { durable }) => {
    fault?.();
    transactions.push(durable);
    return work();
  });
  return { batch, transactions };
}

describe('a batch', () => {
  it('does in one transaction, in order, what is asked for meanwhile', async () => {
    const { batch, transactions } = counted();
    const done: number[] = [];
    const results = await Promise.all([1, 2, 3].map((n) => batch.add(() => done.push(n))));
    expect({ results, done, transactions }).toEqual({ results: [1, 2, 3], done: [1, 2, 3], transactions: [false] });
  });

  it('waits for the disk where one of them must', async () => {
    const { batch, transactions } = counted();
    await Promise.all([batch.add(() => 1), batch.add(() => 2, { durable: true })]);
    await batch.add(() => 3);
    expect(transactions).toEqual([true, false]);
  });

  it('lets one that fails take nothing of the others with it', async () => {
    const { batch } = counted();
    const fail = () => {
      throw new Error('no');
    };
    const results = await Promise.allSettled([batch.add(() => 1), batch.add(fail), batch.add(() => 3)]);
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : 'failed'))).toEqual([
      1,
      'failed',
      3,
    ]);
  });

  it('tells all of them that there was no transaction', async () => {
    const { batch } = counted(() => {
      throw new Error('held');
    });
    const results = await Promise.allSettled([batch.add(() => 1), batch.add(() => 2)]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});

describe('the transactions of a batch', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Adds one piece of work each so many ms, and says how many transactions there were. */
  async function transactionsOf(pieces: number, everyMs: number): Promise<number> {
    vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate', 'performance'] });
    const { batch, transactions } = counted();
    for (let n = 0; n < pieces; n += 1) {
      void batch.add(() => n);
      await vi.advanceTimersByTimeAsync(everyMs);
    }
    await vi.advanceTimersByTimeAsync(1000);
    return transactions.length;
  }

  it('wait for nobody while there are few, as for one task after the other', async () => {
    expect(await transactionsOf(4, 1)).toBe(4);
    expect(await transactionsOf(10, 50)).toBe(10);
  });

  it('hold much where there is much to do', async () => {
    expect(await transactionsOf(1000, 1)).toBeLessThan(50);
  });
});

describe('a state database', () => {
  const state = temporaryState();
  afterEach(() => state.clean());

  it('has no transaction of its own for any change that a task makes', async () => {
    const database = state.open(state.directory());
    let isInBatch = false;
    const alone: string[] = [];
    const counting: Database = {
      ...database,
      soon: (work, options) =>
        database.soon(() => {
          isInBatch = true;
          try {
            return work();
          } finally {
            isInBatch = false;
          }
        }, options),
      run(sql, ...values) {
        if (!isInBatch) alone.push(sql);
        return database.run(sql, ...values);
      },
      transaction(work, options) {
        alone.push('transaction');
        return database.transaction(work, options);
      },
    };
    const ledger = openLedger(counting);
    const queue = openQueue(counting);
    const one = task('v1');
    await queue.send([one]);
    const [received] = await queue.receive({ most: 1, runId: one.runId, owner: 'w', visibilityMs: 60_000 });
    if (received?.kind !== 'task') throw new Error('no task');
    alone.length = 0;
    const destination = one.destinations[0]!;
    const digest = `sha256:${'a'.repeat(64)}`;
    const lease = await ledger.acquireLease('k', 'w', 60_000);
    await Promise.all([
      ledger.write({
        destination,
        source: one.source,
        sourceDigest: digest,
        destinationDigest: digest,
        platforms: '',
        at: 1,
        how: 'copied',
      }),
      ledger.writeBlobs(destination, [digest], 1),
      ledger.releaseLease(lease!),
      ledger.recordOutcome({
        runId: one.runId,
        ruleId: one.ruleId,
        source: one.source,
        destination,
        result: 'copied',
        bytes: 1,
        mounted: 0,
        present: 0,
        at: 1,
      }),
      queue.replace(received, { next: [] }),
    ]);
    expect(alone).toEqual([]);
    expect(await ledger.read(destination)).toMatchObject({ sourceDigest: digest });
  });

  it('has done what waited when it is closed', async () => {
    const directory = state.directory();
    const database = state.open(directory);
    const insert = "INSERT INTO parks (registry, until, reason) VALUES ('r', 1, 'x')";
    const waiting = database.soon(() => database.run(insert));
    database.close();
    expect(await waiting).toBe(1);
    expect(state.open(directory).all('SELECT registry FROM parks')).toEqual([{ registry: 'r' }]);
  });
});
