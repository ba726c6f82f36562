import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Failure } from '../../core/model/errors.ts';
import { formatMessage } from '../../core/pipeline/messages.ts';
import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import type { FailureFilter } from '../../core/pipeline/second-chance.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import { type DeadLetterQueue, openDeadLetters } from '../../functions/aws/dead-letters.ts';
import { type RedriveRequest, redrive } from '../../functions/redrive/redrive.ts';
import { noPlatforms, type Surroundings, startSurroundings } from '../support/functions.ts';

let at: Surroundings;
let runs = 0;

const digest = `sha256:${'a'.repeat(64)}`;
const transient: Failure = { class: 'transient', code: 'timeout', message: 'no answer in time' };
const none = { redriven: 0, dropped: 0, failed: 0, unreadable: 0, left: 0 };

beforeAll(async () => {
  at = await startSurroundings();
  // The emulator has one server: a short poll finds all there is.
  at.sqs.client.middlewareStack.add(
    (next) => (args) =>
      next({ ...args, input: { ...args.input, ...('WaitTimeSeconds' in args.input && { WaitTimeSeconds: 0 }) } }),
    { step: 'initialize' },
  );
});

afterEach(async () => {
  for (const url of Object.values(at.urls)) await at.drain(url);
  at.lines.length = 0;
});

afterAll(() => at.close());

function deadTask(fields: Partial<Task> = {}): Task {
  const runId = `run-${runs++}`;
  return {
    version: 1,
    runId,
    ruleId: 'app',
    source: { registry: 'docker.io', repository: 'library/app', tag: 'v1' },
    destinations: [{ registry: '127.0.0.1:5000', repository: runId, tag: 'v1' }],
    platforms: noPlatforms,
    force: false,
    plannedAt: 1000,
    hint: digest,
    attempt: 5,
    failure: transient,
    ...fields,
  };
}

async function bury(...bodies: Array<Task | PlanMessage | string>): Promise<void> {
  for (const body of bodies) {
    const isPlan = typeof body === 'object' && !('source' in body);
    await at.sqs.client.send(
      new SendMessageCommand({
        QueueUrl: isPlan ? at.urls.deadPlans : at.urls.deadTasks,
        MessageBody: typeof body === 'string' ? body : formatMessage(body),
      }),
    );
  }
}

const due: RedriveRequest = { kind: 'due' };
const asked = (filter: FailureFilter = {}): RedriveRequest => ({ kind: 'asked', filter, id: `request-${runs++}` });
/** Every pause is over by then. */
const muchLater = () => Date.now() + 24 * 3_600_000;

function run(
  request: RedriveRequest = due,
  deadTasks: DeadLetterQueue = openDeadLetters(at.sqs.client, at.urls.deadTasks),
  now = muchLater,
) {
  const deps = {
    ...at,
    tasks: at.queues.tasks,
    longTasks: at.queues.longTasks,
    deadTasks,
    plans: at.queues.plans,
    deadPlans: openDeadLetters(at.sqs.client, at.urls.deadPlans),
    policy: cloudPolicy({ tries: 3, backoffMs: 1000 }),
    chances: { chances: 2, pauseMs: 1000 },
    now,
  };
  return redrive(deps, request, { letters: Number.POSITIVE_INFINITY, failed: Number.POSITIVE_INFINITY });
}

describe('redrive', () => {
  it('sends back to the long workers what was theirs', async () => {
    const task = deadTask({ cutOffs: 2 });
    await bury(task);
    expect(await run()).toEqual({ ...none, redriven: 1 });
    expect(await at.drainTasks()).toEqual([]);
    const [sent] = await at.drainTasks(at.urls.longTasks);
    expect(sent?.message).toEqual({ ...task, attempt: 0, redriven: 1 });
  });

  it('sends back what may work, with new tries', async () => {
    const task = deadTask();
    await bury(task);
    expect(await run()).toEqual({ ...none, redriven: 1 });
    expect((await at.drainTasks()).map(({ message }) => message)).toEqual([{ ...task, attempt: 0, redriven: 1 }]);
    expect(await at.drain(at.urls.deadTasks)).toEqual([]);
    expect(await at.outcomes(task.runId)).toEqual([]);
  });

  it('fails what was tried often enough, with its reason, and what cannot work', async () => {
    const spent = deadTask({ redriven: 2 });
    const hopeless = deadTask({ failure: { class: 'permanent', code: 'denied', message: 'no right to push' } });
    const { failure: _failure, ...brokenOff } = deadTask({ redriven: 2 });
    await bury(spent, hopeless, brokenOff);
    expect(await run()).toEqual({ ...none, failed: 3 });
    for (const [task, code] of [
      [spent, 'timeout'],
      [hopeless, 'denied'],
      [brokenOff, 'aborted'],
    ] as const) {
      expect(await at.outcomes(task.runId)).toMatchObject([{ result: 'failed', failure: { code } }]);
    }
    expect(await at.drainTasks()).toEqual([]);
    expect(await at.drain(at.urls.deadTasks)).toEqual([]);
  });

  it('drops what is in step by now, destination by destination', async () => {
    const done = deadTask();
    const other = { registry: '127.0.0.1:5000', repository: 'other', tag: 'v1' };
    const half = deadTask({ destinations: [{ ...other, repository: 'half' }, other] });
    const known = { source: done.source, destinationDigest: digest, platforms: '', how: 'copied' } as const;
    await at.ledger.write({ ...known, destination: done.destinations[0]!, sourceDigest: digest, at: 1001 });
    await at.ledger.write({ ...known, destination: half.destinations[0]!, sourceDigest: digest, at: 1001 });
    // Known from before the task was planned: not what the task was about.
    await at.ledger.write({ ...known, destination: other, sourceDigest: digest, at: 999 });
    await bury(done, half);
    expect(await run()).toEqual({ ...none, dropped: 1, redriven: 1 });
    expect((await at.drainTasks()).map(({ message }) => message.destinations)).toEqual([[other]]);
    expect(await at.outcomes(done.runId)).toMatchObject([{ result: 'unchanged' }]);
    expect(await at.outcomes(half.runId)).toMatchObject([{ result: 'unchanged', destination: { repository: 'half' } }]);
  });

  it('takes only what is asked for, and shows the rest again', async () => {
    await bury(deadTask({ ruleId: 'one' }), deadTask({ ruleId: 'two' }));
    expect(await run(asked({ code: 'stalled' }))).toEqual({ ...none, left: 2 });
    expect(await run(asked({ class: 'transient', code: 'timeout', ruleId: 'two' }))).toEqual({
      ...none,
      redriven: 1,
      left: 1,
    });
    expect((await at.drainTasks()).map(({ message }) => message.ruleId)).toEqual(['two']);
    expect(await at.drain(at.urls.deadTasks)).toHaveLength(1);
  });

  it('shows again what stays, more than one request takes', async () => {
    await bury(...Array.from({ length: 25 }, (_, n) => deadTask({ ruleId: `rule-${n}` })));
    expect(await run(asked({ ruleId: 'rule-3' }))).toEqual({ ...none, redriven: 1, left: 24 });
    expect(at.sqs.server.inspectQueue('dead-tasks')!.messages).toMatchObject({ inflight: [], ready: { length: 24 } });
  });

  it('drops what nobody can read and says which, and keeps what another version may read', async () => {
    await bury('{"password":"hush"}x', JSON.stringify({ ...deadTask(), version: 2 }), deadTask());
    expect(await run()).toEqual({ ...none, unreadable: 1, left: 1, redriven: 1 });
    expect(await at.drain(at.urls.deadTasks)).toHaveLength(1);
    const [line] = at.lines.filter(({ message }) => message.startsWith('dead letter cannot be read'));
    expect(line?.fields.messageId).toMatch(/^[0-9a-f-]{36}$/);
    expect(JSON.stringify(at.lines)).not.toContain('hush');
  });

  it('loses nothing where it breaks off half-way', async () => {
    const task = deadTask();
    await bury(task);
    const letters = openDeadLetters(at.sqs.client, at.urls.deadTasks);
    const dying: DeadLetterQueue = {
      ...letters,
      async remove() {
        throw new Error('killed');
      },
    };
    await expect(run(due, dying)).rejects.toThrow('killed');
    expect(await at.drainTasks()).toHaveLength(1);
    const inFlight = at.sqs.server.inspectQueue('dead-tasks')!.messages.inflight;
    expect(inFlight).toHaveLength(1);
  });

  it('fails the rule of a plan message that its planners never finished', async () => {
    const { runId } = deadTask();
    await at.ledger.startRun({ id: runId, trigger: 'test', startedAt: 1, rules: 1 });
    await bury({ version: 1, runId, ruleId: 'app', attempt: 0 });
    expect(await run()).toEqual({ ...none, failed: 1 });
    expect(await at.ledger.readRun(runId)).toMatchObject({
      rules: { total: 1, expanded: 1 },
      ruleFailures: [{ ruleId: 'app', failure: { code: 'aborted' } }],
    });
  });

  it('leaves a letter whose next chance is not due yet, unless a person asks', async () => {
    const task = deadTask();
    await bury(task);
    expect(await run(due, undefined, Date.now)).toEqual({ ...none, left: 1 });
    expect(await run(asked(), undefined, Date.now)).toEqual({ ...none, redriven: 1 });
    expect((await at.drainTasks()).map(({ message }) => message)).toEqual([{ ...task, attempt: 0, redriven: 1 }]);
  });

  it('gives what has had its chances, or cannot work, another try where a person asks', async () => {
    const denied: Failure = { class: 'permanent', code: 'denied', message: 'no right to push' };
    await bury(deadTask({ redriven: 9 }), deadTask({ failure: denied }));
    expect(await run(asked())).toEqual({ ...none, redriven: 2 });
    expect(await at.drainTasks()).toHaveLength(2);
  });

  it('makes a new run of what failed for good in earlier ones, where a person asks', async () => {
    const { runId, source } = deadTask();
    const failed = (tag: string, code: Failure['code'], when: number) =>
      at.ledger.recordOutcome({
        ...{
          runId,
          ruleId: 'app',
          source: { registry: 'docker.io', repository: 'library/app', tag },
          destination: to(tag),
          result: 'failed',
          at: when,
        },
        ...{ failure: { class: 'permanent', code, message: 'no' }, platforms: noPlatforms },
        ...{ bytes: 0, mounted: 0, present: 0 },
      });
    const to = (tag: string) => ({ registry: '127.0.0.1:5000', repository: runId, tag });
    await at.ledger.startRun({ id: runId, trigger: 'test', startedAt: 1, rules: 1 });
    await at.ledger.recordPage({ runId, ruleId: 'app', after: '', planned: 3, unchanged: 0 });
    await failed('denied', 'denied', 1000);
    await failed('mended', 'denied', 1000);
    await failed('other', 'not-found', 1000);
    // Copied since, by a later run.
    await at.ledger.write({
      ...{ destination: to('mended'), source, sourceDigest: digest, destinationDigest: digest },
      ...{ platforms: '', at: 2000, how: 'copied' },
    });
    await at.ledger.endRun(runId, 'done', 3000);

    const request = asked({ code: 'denied' });
    expect(await run(request)).toEqual({ ...none, redriven: 1 });
    const [sent] = await at.drainTasks();
    expect(sent?.message).toMatchObject({ destinations: [to('denied')], attempt: 0, failure: { code: 'denied' } });
    expect(await at.ledger.readRun(sent!.message.runId)).toMatchObject({
      state: 'running',
      counts: { planned: 1 },
      rules: { total: 1, expanded: 1 },
    });
    expect(await run(due)).toEqual(none);
  });
});
