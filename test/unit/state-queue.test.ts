import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Failure } from '../../core/model/errors.ts';
import type { PlanMessage } from '../../core/pipeline/ports/queue.ts';
import type { Delay } from '../../core/pipeline/try-policy.ts';
import type { Database } from '../../machine/state/database.ts';
import { listDead, takeDead } from '../../machine/state/dead-letters.ts';
import { openLedger } from '../../machine/state/ledger.ts';
import { openQueue, type Queue, type ReceivedMessage } from '../../machine/state/queue.ts';
import { countQueue, task, temporaryState } from '../support/state.ts';

const state = temporaryState();
const clock = { now: 0 };
let database: Database;
let queue: Queue;

beforeEach(() => {
  clock.now = 1_000_000;
  database = state.open(state.directory());
  queue = openQueue(database, { now: () => clock.now });
});
afterEach(() => state.clean());

const plan: PlanMessage = { version: 1, runId: 'run-1', ruleId: 'rule-1', attempt: 0 };
const inMs = (ms: number): Delay => ({ kind: 'after', ms });
const failure: Failure = { class: 'permanent', code: 'denied', message: 'no' };

function receiveMost(most: number): Promise<ReceivedMessage[]> {
  return queue.receive({ runId: 'run-1', owner: 'me', visibilityMs: 1000, most });
}

async function receive(over: Partial<Parameters<Queue['receive']>[0]> = {}): Promise<ReceivedMessage | undefined> {
  const [message] = await queue.receive({ runId: 'run-1', owner: 'me', visibilityMs: 1000, most: 1, ...over });
  return message;
}

async function receiveTask(): Promise<ReceivedMessage & { kind: 'task' }> {
  const message = await receive();
  if (message?.kind !== 'task') throw new Error('no task');
  return message;
}

function label(message: ReceivedMessage | undefined): string | undefined {
  return message?.kind === 'task' ? message.body.source.tag : message?.kind;
}

describe('queue', () => {
  it('gives messages back whole, in the order of visibility and then of sending', async () => {
    await queue.send([task('late')], { delayMs: 500 });
    await queue.send([task('a'), task('b')]);
    await queue.sendPlans([plan]);
    clock.now += 10;
    await queue.send([task('c')]);
    clock.now += 1000;
    const order: Array<string | undefined> = [];
    for (let n = 0; n < 6; n++) order.push(label(await receive()));
    expect(order).toEqual(['a', 'b', 'plan', 'c', 'late', undefined]);
  });

  it('gives several at once in that order, whatever registries they need, and leaves the rest', async () => {
    const elsewhere = { destinations: [{ registry: 'elsewhere.example', repository: 'app', tag: 'x' }] };
    await queue.send([task('late')], { delayMs: 1 });
    await queue.send([task('a'), task('b', elsewhere), task('c')]);
    await queue.sendPlans([plan]);
    clock.now += 10;
    const first = await receiveMost(4);
    expect(first.map(label)).toEqual(['a', 'b', 'c', 'plan']);
    expect((await receiveMost(4)).map(label)).toEqual(['late']);
    expect(await queue.done(first[1]!)).toBe(true);
    clock.now += 2000;
    expect((await receiveMost(9)).map(label)).toEqual(['late', 'a', 'c', 'plan']);
  });

  it('hands a message to one worker, with its body as it was sent', async () => {
    const sent = task('a', { hint: 'sha256:abc', attempt: 3, force: true });
    await queue.send([sent]);
    expect(await receive()).toEqual({ id: expect.any(Number), kind: 'task', body: sent, receives: 1 });
    expect(await receive()).toBeUndefined();
  });

  it('keeps delayed messages back', async () => {
    await queue.send([task('a')], { delayMs: 100.4 });
    expect(await receive()).toBeUndefined();
    expect(await queue.nextVisibleAt('run-1')).toBe(clock.now + 100);
    clock.now += 100;
    expect(label(await receive())).toBe('a');
  });

  it('keeps runs apart', async () => {
    await queue.send([task('a', { runId: 'run-2' })]);
    expect(await receive()).toBeUndefined();
    expect(await queue.nextVisibleAt('run-1')).toBeUndefined();
    expect(label(await receive({ runId: 'run-2' }))).toBe('a');
  });

  it('shows a message again when its worker does not finish in time, and ignores the late worker', async () => {
    await queue.send([task('a')]);
    const first = await receiveTask();
    clock.now += 999;
    expect(await receive()).toBeUndefined();
    clock.now += 1;
    const second = await receiveTask();
    expect(second.receives).toBe(2);
    expect(await queue.done(first)).toBe(false);
    expect(await queue.retry(first, { delay: inMs(0) })).toBe(false);
    expect(await queue.replace(first, { next: [], dead: { ...task('a'), failure } })).toBe(false);
    expect(listDead(database, { limit: 10 })).toEqual([]);
    expect(await queue.done(second)).toBe(true);
    expect(await queue.nextVisibleAt('run-1')).toBeUndefined();
  });

  it('takes a retry back after its delay, with its new body', async () => {
    await queue.send([task('a', { destinations: [task('a').destinations[0]!, { ...task('b').destinations[0]! }] })]);
    const message = await receiveTask();
    await queue.retry(message, { delay: inMs(300), body: task('a', { attempt: 1 }) });
    expect(countQueue(database, 'run-1', clock.now)).toEqual({ visible: 0, inFlight: 0, delayed: 1 });
    clock.now += 300;
    expect(await receive()).toMatchObject({ body: task('a', { attempt: 1 }), receives: 2 });
  });

  it('leaves tasks that touch a parked registry, as source or destination, and finds them afterwards', async () => {
    const to = (registry: string) => ({ registry, repository: 'app', tag: 'x' });
    await queue.send([
      task('from-parked', { source: to('parked.example') }),
      task('second-destination-parked', { destinations: [to('free.example'), to('parked.example')] }),
      task('sent-with-parked', { destinations: [to('free.example')] }),
    ]);
    clock.now += 1;
    await queue.send([task('free', { destinations: [to('free.example')] })]);
    await queue.sendPlans([plan]);
    const skipRegistries = ['parked.example', 'other.example'];
    expect(label(await receive({ skipRegistries }))).toBe('sent-with-parked');
    expect(label(await receive({ skipRegistries }))).toBe('free');
    expect(label(await receive({ skipRegistries }))).toBe('plan');
    expect(await receive({ skipRegistries })).toBeUndefined();
    expect(await queue.nextVisibleAt('run-1', ['parked.example', 'free.example'])).toBe(clock.now + 1000);
    expect(await queue.nextVisibleAt('run-1')).toBe(clock.now - 1);
    expect((await receive())?.body).toMatchObject({ source: to('parked.example') });
    expect(label(await receive())).toBe('second-destination-parked');
  });

  it('follows a retried task that no longer needs the parked registry', async () => {
    const parked = { registry: 'parked.example', repository: 'app', tag: 'a' };
    await queue.send([task('a', { destinations: [...task('a').destinations, parked] })]);
    const message = await receiveTask();
    await queue.retry(message, { delay: inMs(0), body: task('a') });
    expect(label(await receive({ skipRegistries: ['parked.example'] }))).toBe('a');
  });

  it('counts what is visible, in flight and delayed', async () => {
    await queue.send([task('a'), task('b'), task('c')]);
    await queue.send([task('d')], { delayMs: 9000 });
    await receive();
    expect(countQueue(database, 'run-1', clock.now)).toEqual({ visible: 2, inFlight: 1, delayed: 1 });
    clock.now += 1000;
    expect(countQueue(database, 'run-1', clock.now)).toEqual({ visible: 3, inFlight: 0, delayed: 1 });
    expect(countQueue(database, 'run-2', clock.now)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
  });

  it('keeps what waits for the next round apart from what waits for a time', async () => {
    await queue.send([task('a'), task('b')]);
    await queue.replace(await receiveTask(), { next: [{ task: task('a'), delay: { kind: 'next-round' } }] });
    await queue.replace(await receiveTask(), { next: [{ task: task('b'), delay: inMs(5000) }] });
    expect(await queue.nextVisibleAt('run-1')).toBe(clock.now + 5000);
    await queue.beginRound('run-1', 100);
    clock.now += 100;
    expect(label(await receive())).toBe('a');
    expect(await receive()).toBeUndefined();
  });

  it('tells that only the next round has work left', async () => {
    await queue.send([task('a')]);
    await queue.replace(await receiveTask(), { next: [{ task: task('a'), delay: { kind: 'next-round' } }] });
    clock.now += 100 * 365 * 24 * 3_600_000;
    expect(await receive()).toBeUndefined();
    expect(await queue.nextVisibleAt('run-1')).toBe('next-round');
    expect(await queue.nextVisibleAt('run-1', ['docker.io'])).toBe('next-round');
  });

  it('sends all or none', async () => {
    const broken = { ...task('b'), runId: undefined as never };
    await expect(queue.send([task('a'), broken])).rejects.toThrow();
    expect(countQueue(database, 'run-1', clock.now)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
  });
});

describe('dead letters', () => {
  async function die(over: Parameters<typeof task>[1], why: Failure = failure): Promise<void> {
    await queue.send([task('x', over)]);
    const received = await receiveTask();
    await queue.replace(received, { next: [], dead: { ...received.body, failure: why } });
  }

  it('keeps task and reason, out of the queue', async () => {
    await die({ attempt: 4 });
    expect(await queue.nextVisibleAt('run-1')).toBeUndefined();
    expect(listDead(database, { limit: 10 })).toEqual([
      { id: 1, task: task('x', { attempt: 4 }), failure, at: clock.now },
    ]);
  });

  it('filters by each of its fields', async () => {
    await die({});
    await die({ ruleId: 'rule-2', source: { registry: 'quay.io', repository: 'a', tag: 'x' } });
    await die({}, { class: 'transient', code: 'timeout', message: 'slow' });
    const ids = (filter: Omit<Parameters<typeof listDead>[1], 'limit'>) =>
      listDead(database, { limit: 10, ...filter }).map((letter) => letter.id);
    expect(ids({})).toEqual([1, 2, 3]);
    expect(ids({ classes: ['permanent'] })).toEqual([1, 2]);
    expect(ids({ classes: ['permanent', 'transient'], codes: [] })).toEqual([1, 2, 3]);
    expect(ids({ codes: ['timeout'] })).toEqual([3]);
    expect(ids({ ruleIds: ['rule-2', 'rule-3'] })).toEqual([2]);
    expect(ids({ classes: ['transient'], codes: ['denied'] })).toEqual([]);
    expect(ids({ runId: 'run-2' })).toEqual([]);
    expect(listDead(database, { limit: 2 })).toHaveLength(2);
  });

  it('go back as first attempts of another run, counted there', async () => {
    await die({ attempt: 5 });
    await die({ attempt: 5, ruleId: 'rule-2' });
    const ledger = openLedger(database);
    await ledger.startRun({ id: 'run-2', trigger: 'redrive', startedAt: clock.now });
    const expected = task('x', { runId: 'run-2', attempt: 0, plannedAt: clock.now, redriven: 1 });
    expect(takeDead(database, [1, 99], 'run-2', clock.now)).toEqual([expected]);
    expect(takeDead(database, [1, 2], 'run-2', clock.now)).toHaveLength(1);
    expect(listDead(database, { limit: 10 })).toEqual([]);
    expect((await receive({ runId: 'run-2' }))?.body).toEqual(expected);
    expect((await ledger.readRun('run-2'))?.counts.planned).toBe(2);
  });

  it('stay where they were when the way back fails in the middle', async () => {
    await die({});
    await die({});
    let writes = 0;
    const failing: Database = {
      ...database,
      run: (sql, ...values) => {
        if (++writes > 4) throw new Error('power cut');
        return database.run(sql, ...values);
      },
    };
    expect(() => takeDead(failing, [1, 2], 'run-2', clock.now)).toThrow('power cut');
    expect(listDead(database, { limit: 10 })).toHaveLength(2);
    expect(await queue.nextVisibleAt('run-2')).toBeUndefined();
  });
});
