import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { createDynamoClient } from '../../functions/aws/clients.ts';
import { readEnvironment, readList } from '../../functions/aws/environment.ts';
import { reportRunEnd } from '../../functions/aws/events.ts';
import { createLedger } from '../../functions/aws/ledger.ts';
import { mailRunEnd } from '../../functions/aws/mail.ts';
import { emulatorIdentity, startDynamo } from '../support/dynamo.ts';
import { type JsonService, ServiceFault, startJsonService } from '../support/json-service.ts';
import { startSqs } from '../support/sqs.ts';

const run: RunRecord = {
  id: 'run-1',
  trigger: 'nightly',
  startedAt: 1,
  endedAt: 2,
  state: 'done',
  rules: { total: 60, expanded: 60 },
  ruleFailures: Array.from({ length: 60 }, (_, n) => ({
    ruleId: `rule-${n}`,
    failure: { class: 'permanent', code: 'not-found', message: 'no such repository' },
  })),
  counts: { planned: 1, copied: 1, deleted: 0, unchanged: 0, failed: 0, deferred: 0, bytes: 10 },
};

describe('the end of a run', () => {
  let service: JsonService;
  let client: EventBridgeClient;
  const entries: Array<Record<string, string>> = [];
  let refuse = false;

  beforeAll(async () => {
    service = await startJsonService({
      PutEvents(input) {
        if (refuse)
          return { FailedEntryCount: 1, Entries: [{ ErrorCode: 'ThrottlingException', ErrorMessage: 'slow' }] };
        entries.push(...(input.Entries as typeof entries));
        return { FailedEntryCount: 0, Entries: [{ EventId: '1' }] };
      },
    });
    client = new EventBridgeClient({ ...emulatorIdentity, endpoint: service.endpoint });
  });

  afterAll(async () => {
    client.destroy();
    await service.close();
  });

  it('is announced with the run record, its failures cut to what fits', async () => {
    await reportRunEnd(client, 'bus', run);
    expect(entries).toHaveLength(1);
    const [{ EventBusName, Source, DetailType, Detail }] = entries as [Record<string, string>];
    expect([EventBusName, Source, DetailType]).toEqual(['bus', 'tranship', 'Run Ended']);
    expect(JSON.parse(Detail!)).toEqual({ ...run, ruleFailures: run.ruleFailures.slice(0, 50), moreRuleFailures: 10 });
  });

  it('fails loudly where the bus does not take it', async () => {
    refuse = true;
    await expect(reportRunEnd(client, 'bus', run)).rejects.toMatchObject({ class: 'transient' });
  });
});

describe('the mail of a run', () => {
  it('arrives where the reason is cut in the middle of a character', async () => {
    const emulator = await startSqs();
    const client = new SNSClient({ ...emulatorIdentity, endpoint: emulator.endpoint });
    try {
      const url = emulator.createQueue('mails');
      const TopicArn = emulator.server.createTopic('notices').topicArn;
      const Endpoint = 'arn:aws:sqs:us-east-1:000000000000:mails';
      await client.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint }));
      for (const blanks of ['', ' ']) {
        const message = `${blanks}${'🐋'.repeat(400)}`;
        const ruleFailures: RunRecord['ruleFailures'] = [
          { ruleId: 'app', failure: { class: 'permanent', code: 'denied', message } },
        ];
        const ledger = { runBefore: async () => undefined, async *readOutcomes() {} };
        await mailRunEnd(client, TopicArn, { ...run, ruleFailures }, ledger);
      }
      expect(await emulator.receiveAll(url)).toEqual([expect.stringContaining('🐋'), expect.stringContaining('🐋')]);
    } finally {
      client.destroy();
      await emulator.close();
    }
  });
});

describe('the report of a run', () => {
  it('is mailed where the bus refuses the event, once, and announced where the topic refuses the mail', async () => {
    let refusing: 'bus' | 'topic' | 'both' = 'bus';
    let events = 0;
    const bus = await startJsonService({
      PutEvents() {
        if (refusing !== 'topic') throw new ServiceFault('AccessDeniedException', 400);
        events += 1;
        return { FailedEntryCount: 0, Entries: [{ EventId: '1' }] };
      },
    });
    const emulator = await startSqs();
    const restore = setVariables({
      AWS_ENDPOINT_URL_EVENTBRIDGE: bus.endpoint,
      AWS_ENDPOINT_URL_SNS: emulator.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
    });
    const sns = new SNSClient({ ...emulatorIdentity, endpoint: emulator.endpoint });
    try {
      const { reportRun } = await import('../../functions/planner/report.ts');
      const url = emulator.createQueue('mails');
      const topicArn = emulator.server.createTopic('notices').topicArn;
      const Endpoint = 'arn:aws:sqs:us-east-1:000000000000:mails';
      await sns.send(new SubscribeCommand({ TopicArn: topicArn, Protocol: 'sqs', Endpoint }));
      const ledger = { runBefore: async () => undefined, async *readOutcomes() {} };
      const report = (isRepeated: boolean, arn = topicArn) =>
        reportRun(run, { bus: 'default', topicArn: arn, ledger, isRepeated });

      await expect(report(false)).rejects.toMatchObject({ code: 'denied' });
      expect(await emulator.receiveAll(url)).toHaveLength(1);
      await expect(report(true)).rejects.toMatchObject({ code: 'denied' });
      expect(await emulator.receiveAll(url)).toEqual([]);

      refusing = 'topic';
      await expect(report(false, `${topicArn}-gone`)).rejects.toThrow('mail the end of a run');
      expect(events).toBe(1);
      await report(true);
      expect(await emulator.receiveAll(url)).toHaveLength(1);

      refusing = 'both';
      await expect(report(false, `${topicArn}-gone`)).rejects.toThrow('report the end of a run');
    } finally {
      sns.destroy();
      restore();
      await emulator.close();
      await bus.close();
    }
  });
});

describe('the environment of a function', () => {
  it('is read whole, or every missing variable is named', () => {
    const env = { TRANSHIP_TABLE: ' ledger ', TRANSHIP_EVENT_BUS: ' ' };
    expect(readEnvironment(['TRANSHIP_TABLE'], env)).toEqual({ TRANSHIP_TABLE: 'ledger' });
    expect(() => readEnvironment(['TRANSHIP_TABLE', 'TRANSHIP_EVENT_BUS', 'TRANSHIP_TASK_QUEUE_URL'], env)).toThrow(
      'not set: TRANSHIP_EVENT_BUS, TRANSHIP_TASK_QUEUE_URL',
    );
    expect(readList('one, two,,')).toEqual(['one', 'two']);
  });

  it("names endpoints by the SDK's own variables", async () => {
    const dynamo = await startDynamo();
    const restore = setVariables({
      AWS_ENDPOINT_URL_DYNAMODB: dynamo.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
    });
    const client = createDynamoClient();
    try {
      const ledger = createLedger({ client, table: dynamo.table });
      await ledger.park('docker.io', 10, 'quota');
      expect(await ledger.parks(9)).toHaveLength(1);
    } finally {
      client.destroy();
      restore();
      await dynamo.close();
    }
  });
});

/** Sets variables of this process. @returns what sets them back */
function setVariables(values: Record<string, string>): () => void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, values);
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}
