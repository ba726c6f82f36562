import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { fixtureAssets, fixtureTemplate } from '../support/aws-host/fixture/template.ts';
import { type AwsHost, startAwsHost } from '../support/aws-host/host.ts';
import type { Answer } from '../support/aws-host/lambda-process.ts';
import { failedIds } from '../support/aws-host/mapping.ts';

let host: AwsHost;

beforeAll(async () => {
  host = await startAwsHost({ template: fixtureTemplate(), assets: fixtureAssets, longestWaitSeconds: 0.05 });
});

afterAll(() => host.close());

function valueIn(answer: Answer) {
  if (!answer.ok) throw new Error(`${answer.type}: ${answer.message}`);
  return JSON.parse(answer.payload);
}

/** Sends one message and waits for its end; says how often it was delivered and whether it became a dead letter. */
async function deliver(command: object): Promise<{ deliveries: number; dead: boolean }> {
  const before = host.invocations.length;
  const dead = host.queue('Dead').counts().ready;
  await host.send('Work', JSON.stringify(command));
  await host.settle();
  return { deliveries: host.invocations.length - before, dead: host.queue('Dead').counts().ready > dead };
}

describe('a function of the template', () => {
  it('runs in a process with the environment of the template and of Lambda, and nothing else', async () => {
    vi.stubEnv('OF_THE_TEST', 'yes');
    onTestFinished(() => void vi.unstubAllEnvs());
    const { environment, remainingMs, node, requestId } = valueIn(await host.invoke('Commands', { do: 'look' }));
    expect(environment).toMatchObject({
      GREETING: 'in us-east-1',
      QUEUE: expect.stringMatching(/^http:.*\/000000000000\/tranship-Allowed$/),
      AWS_REGION: 'us-east-1',
      AWS_LAMBDA_FUNCTION_NAME: 'tranship-Function',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
    });
    for (const name of ['OF_THE_TEST', 'PATH', 'HOME']) expect(environment).not.toHaveProperty(name);
    expect(remainingMs).toBeLessThanOrEqual(1000);
    expect(remainingMs).toBeGreaterThan(0);
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(node).toMatch(/^24\./);
  });

  it('keeps its process between invocations, and gets a new one after a crash', async () => {
    const first = valueIn(await host.invoke('Function', { do: 'look' })).invocations;
    expect(valueIn(await host.invoke('Function', { do: 'look' })).invocations).toBe(first + 1);
    expect(await host.invoke('Function', { do: 'exit' })).toMatchObject({ ok: false, type: 'Runtime.ExitError' });
    expect(valueIn(await host.invoke('Function', { do: 'look' })).invocations).toBe(1);
  });

  it('is stopped at its timeout, and by a kill', async () => {
    expect(await host.invoke('Function', { do: 'hang' })).toMatchObject({ ok: false, type: 'Sandbox.Timedout' });
    const hanging = host.invoke('Function', { do: 'hang' });
    // A process that is being started is none yet.
    while ((await host.kill('Function')) === 0) await sleep(5);
    expect(await hanging).toMatchObject({ ok: false, type: 'Runtime.ExitError' });
  });

  it('is called by a schedule with its input', async () => {
    const { event } = valueIn(await host.fire('Daily'));
    expect(event).toEqual({ do: 'look', id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  });
});

describe('a message', () => {
  it.each([
    ['null', { do: 'return', value: null }],
    ['an empty object', { do: 'return', value: {} }],
    ['no failures', { do: 'return', value: { batchItemFailures: [] } }],
    ['null failures', { do: 'return', value: { batchItemFailures: null } }],
  ])('is done with after %s', async (_, command) => {
    expect(await deliver(command)).toEqual({ deliveries: 1, dead: false });
  });

  it.each([
    ['an error', { do: 'throw' }],
    ['its id among the failures', { do: 'fail' }],
    ['an unknown id', { do: 'return', value: { batchItemFailures: [{ itemIdentifier: 'x' }] } }],
    ['an empty id', { do: 'return', value: { batchItemFailures: [{ itemIdentifier: '' }] } }],
    ['a failure without an id', { do: 'return', value: { batchItemFailures: [{ id: 'x' }] } }],
    ['failures that are no list', { do: 'return', value: { batchItemFailures: 'all' } }],
    ['a text', { do: 'return', value: 'done' }],
    ['a crash', { do: 'exit' }],
  ])('comes again after %s, and is a dead letter in the end', async (_, command) => {
    expect(await deliver(command)).toEqual({ deliveries: 2, dead: true });
  });

  it('comes again after a timeout', async () => {
    expect(await deliver({ do: 'hang' })).toEqual({ deliveries: 2, dead: true });
  });

  it('is delivered by as many pollers as the mapping has, and twice where the queue is unruly', async () => {
    const before = host.invocations.length;
    host.mapping('Work').unruly = true;
    for (let n = 0; n < 6; n++) await host.send('Work', JSON.stringify({ do: 'return', value: null }));
    await host.settle();
    host.mapping('Work').unruly = false;
    expect(host.invocations.length - before).toBeGreaterThan(6);
    expect(host.mostBusy('Function')).toBe(2);
  });
});

describe('the answer to a batch', () => {
  const messages = ['a', 'b'].map((MessageId) => ({ MessageId }));
  const answer = (value: unknown): Answer => ({ ok: true, payload: JSON.stringify(value) });
  const failures = (...ids: unknown[]) =>
    answer({ batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })) });

  it('fails the messages it names, or all where it names another', () => {
    expect([...failedIds(failures('b'), messages, true)]).toEqual(['b']);
    expect([...failedIds(failures('b', 'c'), messages, true)]).toEqual(['a', 'b']);
    expect([...failedIds(failures(null), messages, true)]).toEqual(['a', 'b']);
  });

  it('counts only as an error or none where items are not reported', () => {
    expect([...failedIds(failures('b'), messages, false)]).toEqual([]);
    expect([...failedIds({ ok: false, type: 'Error', message: '' }, messages, false)]).toEqual(['a', 'b']);
  });
});

describe('a function whose messages lead to new ones in its own queue', () => {
  async function loop(recursiveLoop?: 'Allow'): Promise<{ invocations: number; dead: string[] }> {
    const own = await startAwsHost({
      template: fixtureTemplate({ recursiveLoop }),
      assets: fixtureAssets,
      longestWaitSeconds: 0.01,
    });
    const { environment } = valueIn(await own.invoke('Function', { do: 'look' }));
    const url = (environment.QUEUE as string).replace('tranship-Allowed', 'work');
    const before = own.invocations.length;
    await own.send('Work', JSON.stringify({ do: 'loop', url, left: 20 }));
    await own.settle();
    const dead = own.queue('Dead').bodies();
    await own.close();
    return { invocations: own.invocations.length - before, dead };
  }

  it('is stopped after 16 invocations', async () => {
    expect(await loop()).toEqual({ invocations: 16, dead: [expect.stringContaining('"left":4')] });
  });

  it('goes on where its loop is allowed', async () => {
    expect(await loop('Allow')).toEqual({ invocations: 21, dead: [] });
  });
});

describe('permissions', () => {
  it('lets through and refuses API calls as the policies say, and knows what nobody used', async () => {
    const unused = [
      'Role: dynamodb:PutItem on arn:aws:dynamodb:us-east-1:000000000000:table/tranship-Table',
      'Role: sqs:SendMessage on arn:aws:sqs:us-east-1:000000000000:work',
    ];
    const { environment } = valueIn(await host.invoke('Function', { do: 'look' }));
    const allowed = environment.QUEUE as string;
    expect(await host.invoke('Function', { do: 'send', url: allowed, body: 'x' })).toMatchObject({ ok: true });
    await sleep(60);
    expect(host.queue('Allowed').bodies()).toEqual(['x']);
    expect(host.permissions.denied()).toEqual([]);
    expect(host.permissions.unused()).toEqual(unused);
    const forbidden = allowed.replace('Allowed', 'Forbidden');
    const refused = await host.invoke('Function', { do: 'send', url: forbidden, body: 'x' });
    expect(refused).toMatchObject({ ok: false, message: expect.stringContaining('not authorized') });
    expect(host.queue('Forbidden').bodies()).toEqual([]);
    expect(host.permissions.denied()).toEqual([
      'Role: sqs:SendMessage on arn:aws:sqs:us-east-1:000000000000:tranship-Forbidden',
    ]);
    expect(host.calls.map(({ operation, status }) => [operation, status])).toEqual([
      ['SendMessage', 200],
      ['SendMessage', 400],
    ]);
  });
});
