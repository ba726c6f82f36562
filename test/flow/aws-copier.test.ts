import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import { formatTarget } from '../../core/model/reference.ts';
import { formatMessage } from '../../core/pipeline/messages.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import { type CopierDeps, copyTask } from '../../functions/copier/copy.ts';
import { workOnLongTasks } from '../../functions/worker/work.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import type { Fault } from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';
import { noPlatforms, type Surroundings, startSurroundings } from '../support/functions.ts';

let at: Surroundings;
let source: EmbeddedRegistry;
let good: EmbeddedRegistry;
let behind: EmbeddedRegistry;
let bad: FaultyRegistry;
let digest: string;
let runs = 0;

const serverError: Fault = { effect: { kind: 'answer', status: 503 } };
const tooMany: Fault = { effect: { kind: 'answer', status: 429, headers: { 'retry-after': '3600' } } };

beforeAll(async () => {
  at = await startSurroundings();
  [source, good, behind] = await Promise.all([startRegistry(), startRegistry(), startRegistry()]);
  ({ digest } = await pushImage({ url: source.url, repository: 'app' }, { seed: 'app', tag: 'v1' }));
});

beforeEach(async () => {
  // A new one each time: one that was parked stays so.
  bad = await startFaultyRegistry({ upstream: behind.url });
  at.lines.length = 0;
});

afterEach(() => bad.close());

afterAll(async () => {
  await at.close();
  await Promise.all([source.close(), good.close(), behind.close()]);
});

/** Every task has a run and a destination repository of its own. */
function newTask(destinations: Array<{ host: string }>, fields: Partial<Task> = {}): Task {
  const runId = `run-${runs++}`;
  return {
    version: 1,
    runId,
    ruleId: 'app',
    source: { registry: source.host, repository: 'app', tag: 'v1' },
    destinations: destinations.map(({ host }) => ({ registry: host, repository: runId, tag: 'v1' })),
    platforms: noPlatforms,
    force: false,
    plannedAt: Date.now(),
    attempt: 0,
    ...fields,
  };
}

async function copy(
  task: Task,
  options: { notBefore?: number; signal?: AbortSignal; deps?: Partial<CopierDeps> } = {},
): Promise<void> {
  const { notBefore, signal = new AbortController().signal } = options;
  const deps: CopierDeps = {
    ...at,
    tasks: at.queues.tasks,
    longTasks: at.queues.longTasks,
    deadLetters: at.queues.deadTasks,
    policy: cloudPolicy({ tries: 3, backoffMs: 1000 }),
    createRepository: async () => false,
    now: Date.now,
    ...options.deps,
  };
  const delivered = { message: task, ...(notBefore !== undefined && { notBefore }) };
  await copyTask(deps, delivered, { owner: `copier-${runs}`, isBounded: true, signal, chunkSignal: signal });
}

describe('a copier', () => {
  it('makes the destination equal, and notes it', async () => {
    const task = newTask([good]);
    await copy(task);
    expect(good.content.manifest(task.runId, 'v1')?.digest).toBe(digest);
    expect(await at.outcomes(task.runId)).toMatchObject([{ result: 'copied', destinationDigest: digest }]);
    expect(await at.drainTasks()).toEqual([]);
  });

  it.each(['write', 'recordOutcome'] as const)('says that it copied where %s failed the first time', async (name) => {
    const task = newTask([good]);
    const throttled = new TranshipError('throttled', { class: 'transient', code: 'throttled' });
    const ledger = { ...at.ledger, [name]: () => Promise.reject(throttled) };
    await copy(task, { deps: { ledger } });
    expect(await at.outcomes(task.runId)).toEqual([]);
    const again = await at.drainTasks();
    expect(again).toMatchObject([{ message: { attempt: 1, written: true, failure: { code: 'throttled' } } }]);
    for (const { message } of again) await copy(message);
    expect(await at.outcomes(task.runId)).toMatchObject([{ result: 'copied', destinationDigest: digest }]);
  });

  it('fails what no retry can help at once', async () => {
    const task = newTask([good], { source: { registry: source.host, repository: 'app', tag: 'none' } });
    await copy(task);
    expect(await at.outcomes(task.runId)).toMatchObject([{ result: 'failed', failure: { code: 'not-found' } }]);
    expect(await at.drainTasks()).toEqual([]);
  });

  it('waits for an announced tag that is not at the source, and takes it calmly where it never comes', async () => {
    const none = { registry: source.host, repository: 'app', tag: 'none' };
    const task = newTask([good], { source: none, pushed: true, plannedAt: Date.now() - 10_000 });
    await copy(task);
    expect(await at.outcomes(task.runId)).toEqual([]);
    const waiting = (await at.drainTasks()).map(({ message }) => message);
    expect(waiting).toEqual([{ ...task, seen: 'nothing' }]);
    for (const message of waiting) await copy({ ...message, plannedAt: message.plannedAt - 300_000 });
    expect(await at.outcomes(task.runId)).toMatchObject([
      { result: 'unchanged', note: 'it was announced, and is not at the source' },
    ]);
    expect([...(await at.drainTasks()), ...(await at.drainTasks(at.urls.deadTasks))]).toEqual([]);
    expect(good.content.has(task.runId)).toBe(false);
  });

  it('sends a task on while the source is not what was announced, then copies what is there', async () => {
    const announced = { hint: `sha256:${'a'.repeat(64)}` as const, settleUntil: Date.now() + 60_000 };
    const task = newTask([good], announced);
    await copy(task);
    expect((await at.drainTasks()).map(({ message }) => message)).toEqual([task]);
    expect(good.content.has(task.runId)).toBe(false);
    expect(await at.outcomes(task.runId)).toEqual([]);

    await copy({ ...task, settleUntil: Date.now() });
    expect(good.content.manifest(task.runId, 'v1')?.digest).toBe(digest);
    expect(await at.drainTasks()).toEqual([]);
  });

  it('sends only what failed for the moment again, with its reason, and in the end to the dead letters', async () => {
    bad.setFaults([serverError]);
    let task = newTask([good, bad]);
    const { runId } = task;
    for (const attempt of [1, 2]) {
      await copy(task);
      const [again, ...more] = await at.drainTasks();
      expect(more).toEqual([]);
      expect(again?.message).toMatchObject({
        attempt,
        destinations: [{ registry: bad.host }],
        failure: { class: 'transient', code: 'server-error', status: 503, registry: bad.host },
      });
      task = again!.message;
    }
    await copy(task);
    expect(await at.drainTasks()).toEqual([]);
    const dead = await at.drainTasks(at.urls.deadTasks);
    expect(dead.map(({ message }) => message)).toMatchObject([{ attempt: 3, failure: { code: 'server-error' } }]);
    // It is not over: redrive decides.
    expect(await at.outcomes(runId)).toMatchObject([{ result: 'copied', destination: { registry: good.host } }]);
  });

  it('parks a registry that has had enough for all, and keeps its tasks waiting without a try', async () => {
    bad.setFaults([tooMany]);
    const task = newTask([bad]);
    await copy(task);
    const [first] = await at.drainTasks();
    expect(first?.message).toMatchObject({ attempt: 0, failure: { class: 'throttled' } });
    expect(first!.notBefore).toBeGreaterThan(Date.now() + 3_000_000);
    expect((await at.ledger.parks(Date.now())).map(({ registry }) => registry)).toEqual([bad.host]);

    const other = newTask([bad, good]);
    bad.requests.length = 0;
    await copy(other);
    expect(bad.requests).toEqual([]);
    expect((await at.drainTasks()).map(({ message }) => message.destinations)).toEqual([[other.destinations[0]]]);
    expect(await at.outcomes(other.runId)).toMatchObject([{ result: 'copied', destination: { registry: good.host } }]);
  });

  it('gives a registry up that lets nothing through for a day', async () => {
    bad.setFaults([tooMany]);
    await copy(newTask([bad], { plannedAt: Date.now() - 24 * 3_600_000 }));
    expect(await at.drainTasks()).toEqual([]);
    const dead = await at.drainTasks(at.urls.deadTasks);
    expect(dead).toMatchObject([{ message: { failure: { class: 'throttled' } } }]);
  });

  it('sends a task back that comes before its time', async () => {
    const task = newTask([good]);
    const notBefore = Date.now() + 3_600_000;
    await copy(task, { notBefore });
    expect((await at.drainTasks()).map(({ message }) => message)).toEqual([task]);
    expect(await at.outcomes(task.runId)).toEqual([]);
  });

  it('hands the rest over when its time is over, and says so', async () => {
    const task = newTask([good]);
    const timeIsOver = new TranshipError('time is over', { class: 'transient', code: 'timeout' });
    await copy(task, { signal: AbortSignal.abort(timeIsOver) });
    expect((await at.drainTasks()).map(({ message }) => message)).toMatchObject([
      { attempt: 1, destinations: task.destinations, failure: { code: 'timeout', message: 'time is over' } },
    ]);
    expect(at.lines.map(({ message }) => message)).toContain('time is over: the rest is handed over');
    expect(await at.outcomes(task.runId)).toEqual([]);
  });

  it('leaves a destination alone that another copier is writing, and counts no try', async () => {
    const task = newTask([good]);
    await at.ledger.acquireLease(formatTarget(task.destinations[0]!), 'another', 60_000);
    await copy(task);
    expect((await at.drainTasks()).map(({ message }) => message)).toEqual([task]);
    expect(good.content.manifest(task.runId, 'v1')).toBeUndefined();
  });

  it('waits without a try while another copier uploads a large layer of it', async () => {
    const task = newTask([good]);
    const { layers } = await pushImage({ url: source.url, repository: 'app' }, { seed: 'app', tag: 'v1' });
    const key = `upload ${good.host}/${task.runId}@${layers[0]?.digest}`;
    await at.ledger.acquireLease(key, 'another', 60_000);
    const deps = { chunking: { ...at.chunking, fromBytes: 100, chunkBytes: 100 } };
    await copy(task, { deps });
    const [again, ...more] = await at.drainTasks();
    expect([again?.message, more]).toEqual([task, []]);
    await at.ledger.releaseLease({ key, owner: 'another', until: 0 });
    await copy(task, { deps });
    expect(await at.outcomes(task.runId)).toMatchObject([{ result: 'copied' }]);
  });

  it('of two with the same task, one copies and the other sees it done', async () => {
    const task = newTask([good]);
    good.requests.length = 0;
    await copy(task);
    await copy(task);
    expect(good.count('put manifest')).toBe(1);
    expect(await at.outcomes(task.runId)).toMatchObject([{ result: 'copied' }]);
  });

  it('makes a missing repository where that is wanted, and tries again at once', async () => {
    const missing: Fault = {
      when: { method: 'POST' },
      effect: { kind: 'answer', status: 404, body: '{"errors":[{"code":"NAME_UNKNOWN"}]}' },
    };
    bad.setFaults([missing]);
    const made: string[] = [];
    const task = newTask([bad]);
    await copy(task, {
      deps: {
        createRepository: async ({ repository }) => {
          made.push(repository);
          return true;
        },
      },
    });
    expect(made).toEqual([task.runId]);
    expect((await at.drainTasks()).map(({ message }) => message)).toMatchObject([{ attempt: 1 }]);
    expect(await at.outcomes(task.runId)).toEqual([]);
  });

  it('fails one destination, and not the others, where its repository may not be made', async () => {
    const body = '{"errors":[{"code":"NAME_UNKNOWN"}]}';
    bad.setFaults([{ when: { method: 'POST' }, effect: { kind: 'answer', status: 404, body } }]);
    const task = newTask([good, bad]);
    const denied = new TranshipError('create repository: denied', { class: 'permanent', code: 'denied' });
    await copy(task, { deps: { createRepository: () => Promise.reject(denied) } });
    const outcomes = await at.outcomes(task.runId);
    expect(outcomes).toHaveLength(2);
    expect(outcomes.find(({ result }) => result === 'copied')?.destination.registry).toBe(good.host);
    expect(outcomes.find(({ result }) => result === 'failed')).toMatchObject({
      failure: { code: 'denied', registry: bad.host, repository: task.runId },
    });
    expect(await at.drainTasks()).toEqual([]);
  });
});

describe('a long worker', () => {
  /** Works on one long task with a destination that is held, until the test has looked. */
  async function workOn(task: Task, url = at.urls.longTasks) {
    await at.sqs.client.send(new SendMessageCommand({ QueueUrl: at.urls.longTasks, MessageBody: formatMessage(task) }));
    const stop = new AbortController();
    const ended = workOnLongTasks({
      sqs: at.sqs.client,
      url,
      tasksAtOnce: 2,
      signal: stop.signal,
      deps: {
        ...at,
        longTasks: at.queues.longTasks,
        deadLetters: at.queues.deadTasks,
        policy: cloudPolicy({ tries: 3, backoffMs: 1000 }),
        createRepository: async () => false,
        now: Date.now,
      },
    });
    return { stop, ended };
  }
  const messages = () => at.sqs.server.inspectQueue('long-tasks')!.messages;

  it('keeps the message hidden for as long as it works on it, and then deletes it', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const held = Promise.withResolvers<void>();
      bad.setFaults([{ effect: { kind: 'hold', until: held.promise } }]);
      const { stop, ended } = await workOn(newTask([bad]));
      await expect.poll(() => bad.requests.length).toBeGreaterThan(0);
      const before = messages().inflight[0]!.visibilityDeadline;
      vi.advanceTimersByTime(40_000);
      // Before the held request is given up, which would bring a new message.
      await expect.poll(() => messages().inflight[0]!.visibilityDeadline, { timeout: 20_000 }).toBeGreaterThan(before);
      held.resolve();
      await expect.poll(() => messages().inflight.length).toBe(0);
      stop.abort();
      await ended;
      expect(messages()).toMatchObject({ ready: [], delayed: [], inflight: [] });
    } finally {
      vi.useRealTimers();
    }
  });

  it('gives back what it has in hand, and what comes while it stops', async () => {
    bad.setFaults([{ effect: { kind: 'hold', until: new Promise(() => {}) } }]);
    const task = newTask([bad]);
    const { stop, ended } = await workOn(task);
    await expect.poll(() => bad.requests.length).toBeGreaterThan(0);
    stop.abort();
    await ended;
    const { ready, inflight } = messages();
    const visible = [...ready, ...inflight.filter(({ visibilityDeadline }) => visibilityDeadline <= Date.now())];
    expect(visible).toHaveLength(1);
    await at.drain(at.urls.longTasks);
  });

  it('ends where there is no such queue', async () => {
    const { ended } = await workOn(newTask([good]), `${at.urls.longTasks}-other`);
    await expect(ended).rejects.toMatchObject({ class: 'configuration', code: 'not-found' });
    await at.drain(at.urls.longTasks);
  });
});
