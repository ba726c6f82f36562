import type { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';
import type { SQSEvent } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import { awsError } from '../../functions/aws/errors.ts';
import { mailRunEnd } from '../../functions/aws/mail.ts';
import { handleMessages } from '../../functions/aws/sqs-event.ts';
import { parseStart } from '../../functions/planner/start.ts';
import { parseRequest } from '../../functions/redrive/request.ts';

const policy = cloudPolicy({ tries: 5, backoffMs: 30_000 });

describe('what starts a run', () => {
  it('may say nothing, or what it wants', () => {
    expect(parseStart({})).toEqual({ trigger: 'by-hand', force: false });
    expect(parseStart(null)).toEqual({ trigger: 'by-hand', force: false });
    const scheduled = { trigger: 'nightly', scheduledTime: '2026-11-24T03:00:00Z', rules: ['a'] };
    expect(parseStart(scheduled)).toEqual({ ...scheduled, force: false });
  });

  it.each([
    [
      { rule: ['a'], forse: true },
      'does not start a run: unknown key "rule" (did you mean rules?), unknown key "forse" (did',
    ],
    [[], 'the event must be a map, and is a list'],
    ['run', 'does not start a run'],
    [{ rules: 'a' }, 'does not start a run: rules must be a list, and is text'],
    [{ rules: ['a', 5] }, 'rules[1] must be text, and is the number 5'],
    [{ force: 'yes' }, 'does not start a run: force must be true or false, and is text'],
    [{ trigger: 'a b' }, 'does not start a run'],
    [{ scheduledTime: '#' }, 'does not start a run'],
  ])('is refused where it is mistyped: %j', (event, message) => {
    expect(() => parseStart(event)).toThrow(message);
  });
});

describe('what a redrive takes', () => {
  it('is all, or what a filter says; a mistyped filter is not "all"', () => {
    expect(parseRequest({}, 'id')).toEqual({ kind: 'asked', filter: {}, id: 'id' });
    expect(parseRequest({ trigger: 'schedule' }, 'id')).toEqual({ kind: 'due' });
    const filter = { class: 'transient', code: 'timeout', ruleId: 'a' };
    expect(parseRequest(filter, 'id')).toMatchObject({ filter });
    for (const event of [{ rule: 'a' }, { class: 1 }, 'transient', []]) {
      expect(() => parseRequest(event, 'id')).toThrow('wanted');
    }
    expect(() => parseRequest({ class: 'transiant' }, 'id')).toThrow(
      'class "transiant" is unknown (did you mean transient?)',
    );
  });
});

describe('the messages of an event', () => {
  const record = (messageId: string, receives = '1') => ({
    messageId,
    receiptHandle: `handle-${messageId}`,
    attributes: { ApproximateReceiveCount: receives },
  });

  /** A client that answers nothing and notes what it is asked. */
  function quietClient(inputs: object[]): SQSClient {
    const client = new SQSClient({ region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
    client.middlewareStack.add(
      () => async (args) => {
        inputs.push(args.input);
        return { response: {}, output: { $metadata: {} } };
      },
      { step: 'initialize' },
    );
    return client;
  }

  it('fail one by one, and come again after a wait that grows; what cannot be read does not wait', async () => {
    const inputs: Array<{ ReceiptHandle?: string; VisibilityTimeout?: number }> = [];
    const noise = { info() {}, warn() {}, error() {} };
    const options = { client: quietClient(inputs), url: 'http://127.0.0.1/q', policy, log: noise, count: () => {} };
    const event = { Records: [record('good'), record('poison', '3'), record('unlucky', '2')] } as unknown as SQSEvent;
    const answer = await handleMessages(options, event, async ({ messageId }) => {
      if (messageId === 'poison') throw new TranshipError('not a task', { class: 'permanent', code: 'protocol' });
      if (messageId === 'unlucky') throw new Error('no answer');
    });
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'poison' }, { itemIdentifier: 'unlucky' }] });
    expect(inputs.map((input) => input.ReceiptHandle)).toEqual(['handle-poison', 'handle-unlucky']);
    expect(inputs[0]?.VisibilityTimeout).toBe(0);
    expect(inputs[1]?.VisibilityTimeout).toBeGreaterThanOrEqual(30);
    expect(inputs[1]?.VisibilityTimeout).toBeLessThanOrEqual(60);
  });
});

describe('an error of AWS', () => {
  const classOf = (name: string) =>
    awsError(
      'send message',
      Object.assign(new Error(name), { name, $fault: 'client', $metadata: { httpStatusCode: 400 } }),
    );

  it.each(['ThrottlingException', 'KmsThrottled', 'KMS.ThrottlingException', 'RequestThrottled', 'OverLimit'])(
    '%s is for the moment, though AWS puts it down to the client',
    (name) => expect(classOf(name)).toMatchObject({ class: 'transient', code: 'throttled' }),
  );

  it('is for good where the client is at fault', () => {
    expect(classOf('KmsDisabled')).toMatchObject({ class: 'permanent', code: 'refused' });
    expect(classOf('AccessDeniedException')).toMatchObject({ class: 'permanent', code: 'denied' });
  });
});

describe('the mail of a run', () => {
  const run: RunRecord = {
    id: 'daily-2026-11-24T03:00:00Z',
    trigger: 'daily',
    startedAt: 1,
    endedAt: 2,
    state: 'done',
    ruleFailures: [
      { ruleId: 'nginx', failure: { class: 'permanent', code: 'not-found', message: 'no such repository' } },
    ],
    counts: { planned: 70, copied: 5, deleted: 0, unchanged: 5, failed: 60, deferred: 0, bytes: 1 },
  };
  const failed = (n: number): Outcome => ({
    runId: run.id,
    ruleId: 'app',
    source: { registry: 'docker.io', repository: 'library/app', tag: `v${n}` },
    destination: { registry: 'registry.example.com', repository: 'app', tag: `v${n}` },
    result: 'failed',
    failure: { class: 'permanent', code: 'denied', message: 'x'.repeat(2000), mend: 'give the right to push' },
    ...{ bytes: 0, mounted: 0, present: 0, at: 1 },
  });

  async function mail(one: RunRecord): Promise<Array<{ Subject: string; Message: string; TopicArn: string }>> {
    const sent: Array<{ Subject: string; Message: string; TopicArn: string }> = [];
    const client = { send: async ({ input }: { input: (typeof sent)[number] }) => sent.push(input) };
    const ledger = {
      runBefore: async () => undefined,
      async *readOutcomes() {
        yield Array.from({ length: 60 }, (_, n) => failed(n));
      },
    };
    await mailRunEnd(client as unknown as SNSClient, 'arn:topic', one, ledger);
    return sent;
  }

  it('says what failed and why, within bounds', async () => {
    const [sent] = await mail(run);
    expect(sent?.Subject).toBe('Tranship: 1 rule could not be read, 60 of 70 tags failed');
    expect(sent?.Message).toContain('rule nginx\n    not-found (permanent): no such repository');
    expect(sent?.Message).toContain(
      'docker.io/library/app:v0 -> registry.example.com/app:v0\n    denied (permanent): xxx',
    );
    expect(sent?.Message).toContain(`and 36 more: tranship status ${run.id}`);
    expect(sent?.Message.length).toBeLessThan(40_000);
  });

  it('is not sent where all is well', async () => {
    expect(await mail({ ...run, ruleFailures: [], counts: { ...run.counts, failed: 0 } })).toEqual([]);
  });
});
