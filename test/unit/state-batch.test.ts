import { afterEach, describe, expect, it } from 'vitest';
import { createBatch } from '../../machine/state/batch.ts';
import { temporaryState } from '../support/state.ts';

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

describe('a state database', () => {
  const state = temporaryState();
  afterEach(() => state.clean());

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
