import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ReceiveMessageCommand, type SendMessageBatchCommandInput, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePlan, parseTask } from '../../core/pipeline/messages.ts';
import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { createQueue, retryAfter, sendBackIfEarly } from '../../functions/aws/queue.ts';
import { emulatorIdentity } from '../support/dynamo.ts';
import { type Sqs, startSqs } from '../support/sqs.ts';

let sqs: Sqs;
let queues = 0;

beforeAll(async () => {
  sqs = await startSqs();
});

afterAll(() => sqs.close());

function task(tag: string, fields: Partial<Task> = {}): Task {
  return {
    version: 1,
    runId: 'run-1',
    ruleId: 'nginx',
    source: { registry: 'docker.io', repository: 'library/nginx', tag },
    destinations: [{ registry: '127.0.0.1:5000', repository: 'mirror/nginx', tag }],
    platforms: { platforms: [], os: [], arch: [] },
    force: false,
    plannedAt: 1_800_000_000_000,
    attempt: 0,
    ...fields,
  };
}

function newQueue(): { name: string; url: string } {
  const name = `queue-${queues++}`;
  return { name, url: sqs.createQueue(name) };
}

async function received(url: string): Promise<Task[]> {
  return (await sqs.receiveAll(url)).map((body) => parseTask(body).message);
}

const tagsOf = (tasks: Task[]) => tasks.map(({ source }) => source.tag).sort();

/** A client that sees the entries of every batch and may answer in the service's place. */
function watchedClient(
  watch: (
    input: SendMessageBatchCommandInput,
    send: (input: SendMessageBatchCommandInput) => Promise<unknown>,
  ) => unknown,
): SQSClient {
  const client = new SQSClient({ ...emulatorIdentity, endpoint: sqs.endpoint });
  client.middlewareStack.add(
    (next) => async (args) => {
      const send = async (input: SendMessageBatchCommandInput) => (await next({ ...args, input })).output;
      return { response: {}, output: await watch(args.input as SendMessageBatchCommandInput, send) } as never;
    },
    { step: 'initialize' },
  );
  return client;
}

describe('sending', () => {
  it('takes any number of tasks, in batches that SQS accepts', async () => {
    const { url } = newQueue();
    const large = task('large', { ruleId: 'é'.repeat(300_000) });
    const tasks = [...Array.from({ length: 43 }, (_, n) => task(`t${n}`)), large, large, large];
    await createQueue<Task>({ client: sqs.client, url }).send(tasks);
    expect(tagsOf(await received(url))).toEqual(tagsOf(tasks));
    await createQueue<Task>({ client: sqs.client, url }).send([]);
  });

  it('keeps to the characters that SQS takes, and loses none', async () => {
    const { url } = newQueue();
    const bodies: string[] = [];
    const client = watchedClient((input, send) => {
      bodies.push(...input.Entries!.map(({ MessageBody }) => MessageBody!));
      return send(input);
    });
    const message = 'any \u0000 \u001b \ud83d \u{1f40b} \ufffe \uffff \u{1ffff}';
    const sent = task('t', { failure: { class: 'transient', code: 'network', message } });
    await createQueue<Task>({ client, url }).send([sent]);
    client.destroy();
    // SendMessageBatch, "MessageBody".
    expect(bodies.join('')).not.toMatch(/[^\t\n\r -\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u);
    expect(await received(url)).toEqual([sent]);
  });

  it('sends again what SQS did not take, and only that', async () => {
    const { url } = newQueue();
    const sizes: number[] = [];
    const client = watchedClient(async (input, send) => {
      const entries = input.Entries!;
      sizes.push(entries.length);
      // Not the first ones: ids must be matched, not positions.
      const refused = entries.filter((_, index) => index % 2 === 0 && entries.length > 1);
      const output = await send({ ...input, Entries: entries.filter((entry) => !refused.includes(entry)) });
      const failed = refused.map(({ Id }) => ({ Id, SenderFault: false, Code: 'InternalError', Message: 'again' }));
      return { ...(output as object), Failed: failed.reverse() };
    });
    const tasks = Array.from({ length: 10 }, (_, n) => task(`t${n}`));
    await createQueue<Task>({ client, url }).send(tasks);
    client.destroy();
    expect(sizes).toEqual([10, 5, 3, 2, 1]);
    expect(tagsOf(await received(url))).toEqual(tagsOf(tasks));
  });

  it('fails for good where the sender is at fault, as transient where SQS is', async () => {
    const answering = (SenderFault: boolean, Code: string) =>
      watchedClient(({ Entries }) => ({
        Failed: Entries!.map(({ Id }) => ({ Id, SenderFault, Code, Message: 'message' })),
      }));
    for (const [fault, code, errorClass] of [
      [true, 'Code', 'permanent'],
      [false, 'Code', 'transient'],
      // SQS has this from the service that keeps the key, and puts it down to the sender.
      [true, 'KMS.ThrottlingException', 'transient'],
    ] as const) {
      const client = answering(fault, code);
      const sending = createQueue<Task>({ client, url: 'http://unused.test/q' }).send([task('a')]);
      await expect(sending).rejects.toMatchObject({ class: errorClass, message: expect.stringContaining(code) });
      client.destroy();
    }
  });

  it('refuses a task that is larger than SQS takes before anything is sent', async () => {
    const { url } = newQueue();
    const sending = createQueue<Task>({ client: sqs.client, url }).send([
      task('small'),
      task('large', { ruleId: 'é'.repeat(600_000) }),
    ]);
    await expect(sending).rejects.toMatchObject({ class: 'permanent', code: 'limit-exceeded' });
    expect(await received(url)).toEqual([]);
  });

  it('says so where the queue is not there, or nobody answers', async () => {
    const absent = createQueue<Task>({ client: sqs.client, url: `${sqs.endpoint}/000000000000/absent` });
    await expect(absent.send([task('a')])).rejects.toMatchObject({ class: 'configuration', code: 'not-found' });

    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const client = new SQSClient({ ...emulatorIdentity, endpoint: `http://127.0.0.1:${port}`, maxAttempts: 1 });
    const dead = createQueue<Task>({ client, url: `http://127.0.0.1:${port}/q` });
    await expect(dead.send([task('a')])).rejects.toMatchObject({ class: 'transient', code: 'network' });
    client.destroy();
  });
});

describe('waiting', () => {
  it('delays by SQS up to 15 minutes, and by the message beyond', async () => {
    const { name, url } = newQueue();
    const now = 1_800_000_000_000;
    const inputs: SendMessageBatchCommandInput[] = [];
    const client = watchedClient((input, send) => {
      inputs.push(input);
      return send(input);
    });
    const queue = createQueue<Task>({ client, url, now: () => now });
    await queue.send([task('a')], { delayMs: 900_000 });
    await queue.send([task('b')], { delayMs: 900_001 });
    client.destroy();
    const sent = inputs.map(({ Entries }) => Entries![0]!);
    expect(sent.map(({ DelaySeconds }) => DelaySeconds)).toEqual([900, 900]);
    expect(sent.map(({ MessageBody }) => parseTask(MessageBody!).notBefore)).toEqual([undefined, now + 900_001]);
    expect(sqs.server.inspectQueue(name)?.messages.delayed).toHaveLength(2);
    expect(await received(url)).toEqual([]);
  });

  it('sends a message that comes early back as a new one, with the time that is left', async () => {
    const { name, url } = newQueue();
    const now = 1_800_000_000_000;
    const queue = createQueue<PlanMessage>({ client: sqs.client, url, now: () => now });
    const message: PlanMessage = { version: 1, runId: 'run-1', ruleId: 'nginx', after: 'm', attempt: 2 };
    expect(await sendBackIfEarly(queue, { message }, now)).toBe(false);
    expect(await sendBackIfEarly(queue, { message, notBefore: now + 500 }, now)).toBe(false);
    expect(await sendBackIfEarly(queue, { message, notBefore: now + 3_600_000 }, now)).toBe(true);
    const { delayed, ready } = sqs.server.inspectQueue(name)!.messages;
    expect(ready).toEqual([]);
    expect(delayed.map(({ body }) => parsePlan(body))).toEqual([{ message, notBefore: now + 3_600_000 }]);
  });

  it('lets a received message come again early', async () => {
    const { url } = newQueue();
    await createQueue<Task>({ client: sqs.client, url }).send([task('a')]);
    const receive = () => sqs.client.send(new ReceiveMessageCommand({ QueueUrl: url, VisibilityTimeout: 5400 }));
    const [first] = (await receive()).Messages!;
    expect((await receive()).Messages ?? []).toEqual([]);
    expect(await retryAfter(sqs.client, url, first!.ReceiptHandle!, 0)).toBe(true);
    expect((await receive()).Messages).toHaveLength(1);
    expect(await retryAfter(sqs.client, url, 'no-such-handle', 0)).toBe(false);
  });
});
