import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatMessage } from '../../core/pipeline/messages.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { createLedger } from '../../functions/aws/ledger.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { urlToken } from '../support/announce.ts';
import { startCloudFormation } from '../support/cloud-formation.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { type Dynamo, startDynamo } from '../support/dynamo.ts';
import { noPlatforms } from '../support/functions.ts';
import { startSecretsManager } from '../support/secrets-manager.ts';
import { type Sqs, startSqs } from '../support/sqs.ts';
import { startUi } from '../support/ui.ts';

describe('--stack', () => {
  let dynamo: Dynamo;
  let sqs: Sqs;
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let place: Workplace;
  let env: Record<string, string>;
  const closers: Array<() => unknown> = [];
  const urls = { tasks: '', longTasks: '', deadTasks: '' };

  beforeAll(async () => {
    [dynamo, sqs, source, destination] = await Promise.all([
      startDynamo(),
      startSqs(),
      startRegistry(),
      startRegistry(),
    ]);
    const secrets = await startSecretsManager();
    secrets.secrets.set('webhook', JSON.stringify({ HUB_TOKEN: urlToken, GIT_SECRET: 'a secret of some length' }));
    // As a stack with the setting loginSecrets has them.
    secrets.secrets.set('logins', JSON.stringify({ [source.host]: { insecure: true } }));
    secrets.secrets.set('more-logins', JSON.stringify({ [destination.host]: { insecure: true } }));
    urls.tasks = sqs.createQueue('tasks');
    urls.longTasks = sqs.createQueue('long-tasks');
    urls.deadTasks = sqs.createQueue('dead-tasks');
    const cloudFormation = await startCloudFormation({
      LedgerTable: dynamo.table,
      LoginSecret: 'logins',
      LoginSecrets: 'logins',
      LoginSecrets2: 'more-logins',
      TaskQueueUrl: urls.tasks,
      LongTaskQueueUrl: urls.longTasks,
      DeadLetterQueueUrl: urls.deadTasks,
      PlanQueueUrl: sqs.createQueue('plans'),
      PlanDeadLetterQueueUrl: sqs.createQueue('dead-plans'),
      WebhookUrl: 'https://hooks.example.com/',
      WebhookSecret: 'webhook',
    });
    env = {
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_ENDPOINT_URL_CLOUDFORMATION: cloudFormation.endpoint,
      AWS_ENDPOINT_URL_DYNAMODB: dynamo.endpoint,
      AWS_ENDPOINT_URL_SQS: sqs.endpoint,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    };
    place = openWorkplace();
    await pushImage({ url: source.url, repository: 'team/app' }, { seed: 'one', tag: 'v1' });
    place.write('images.yaml', `${source.host}/team/app: ${destination.host}/mirror/app\n`);
    closers.push(
      place.remove,
      cloudFormation.close,
      secrets.close,
      dynamo.close,
      sqs.close,
      source.close,
      destination.close,
    );
  });
  afterAll(async () => {
    for (const close of closers) await close();
  });

  const task = (): Task => ({
    version: 1,
    runId: 'daily-1',
    ruleId: 'rule',
    source: { registry: source.host, repository: 'team/app', tag: 'v1' },
    destinations: [{ registry: destination.host, repository: 'mirror/app', tag: 'v1' }],
    platforms: noPlatforms,
    force: false,
    plannedAt: Date.now(),
    attempt: 5,
    failure: { class: 'transient', code: 'network', message: 'it broke' },
  });

  it('tells what to enter where, with the token that the secret holds and no other secret', async () => {
    const file = 'hub: { dialect: docker-hub, token: $HUB_TOKEN }\ngit: { dialect: ghcr, hmac: $GIT_SECRET }\n';
    place.write('webhooks.yaml', file);
    const { code, stdout, stderr } = await place.run(['webhooks', '--stack', 'Tranship'], env);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`URL: https://hooks.example.com/hooks/hub/${urlToken}\n`);
    expect(stdout).toContain('URL: https://hooks.example.com/hooks/git\n');
    expect(stdout).not.toContain('a secret of some length');
    place.write('webhooks.yaml', 'hub: { dialect: docker-hub, token: $OTHER_TOKEN }\n');
    const missing = await place.run(['webhooks', '--stack', 'Tranship'], env);
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining('OTHER_TOKEN')]);
  });

  it("tells of the stack's runs, and exits as they ended", async () => {
    const ledger = createLedger({ client: dynamo.client, table: dynamo.table });
    await ledger.startRun({ id: 'daily-1', trigger: 'daily', startedAt: Date.now() - 1000, rules: 1 });
    await ledger.recordPage({ runId: 'daily-1', ruleId: 'rule', after: '', planned: 1, unchanged: 0 });
    const { source: from, destinations, runId, ruleId } = task();
    const failure = { class: 'permanent', code: 'denied', message: 'no right to push' } as const;
    const nothing = { bytes: 0, mounted: 0, present: 0, at: Date.now() };
    await ledger.recordOutcome({
      runId,
      ruleId,
      source: from,
      destination: destinations[0]!,
      result: 'failed',
      failure,
      ...nothing,
    });
    await ledger.endRun('daily-1', 'done', Date.now());
    const status = await place.run(['status', '--stack', 'Tranship'], env);
    expect(status.stdout).toContain('no right to push');
    expect(status.stdout).not.toContain('long worker');
    expect(status.code).toBe(1);
    await sqs.client.send(new SendMessageCommand({ QueueUrl: urls.longTasks, MessageBody: 'a task' }));
    const waiting = await place.run(['status', '--stack', 'Tranship'], env);
    expect(waiting.stdout).toMatch(/^waiting +1 task for a long worker: tranship worker --stack/m);
  });

  it('plans and verifies with the ledger and the logins of the stack', async () => {
    const plan = await place.run(['plan', '--stack', 'Tranship', '--json'], env);
    expect(plan).toMatchObject({ code: 0, stderr: '' });
    expect(jsonLines(plan.stdout)[0]).toMatchObject({
      type: 'tag',
      state: 'new',
      destination: `${destination.host}/mirror/app:v1`,
    });
    const verify = await place.run(['verify', '--stack', 'Tranship', '--json'], env);
    expect(verify.code).toBe(1);
    expect(jsonLines(verify.stdout).at(-1)).toMatchObject({ type: 'verify', missing: 1 });
  });

  it('sends dead letters back, those that are asked for', async () => {
    await sqs.client.send(new SendMessageCommand({ QueueUrl: urls.deadTasks, MessageBody: formatMessage(task()) }));
    const none = await place.run(['redrive', '--stack', 'Tranship', '--code', 'timeout', '--json'], env);
    expect(jsonLines(none.stdout)[0]).toMatchObject({ type: 'redrive', redriven: 0, left: 1 });
    const all = await place.run(['redrive', '--stack', 'Tranship'], env);
    expect(all.stdout).toContain('1 sent back to be tried again');
    expect(all.code).toBe(0);
    const { ready, delayed } = sqs.server.inspectQueue('tasks')!.messages;
    expect([...ready, ...delayed]).toHaveLength(1);
  });

  it('shows it in a browser, and sends back what is asked for there', async () => {
    await sqs.client.send(new SendMessageCommand({ QueueUrl: urls.deadTasks, MessageBody: formatMessage(task()) }));
    const rule = `{ name: rule, from: ${source.host}/team/app, to: [${destination.host}/mirror/app] }`;
    place.write('named.yaml', `version: 1\nrules: [${rule}]\n`);
    const ui = await startUi(place, ['--stack', 'Tranship', '--rules', 'named.yaml'], env);
    try {
      const { get, post } = await ui.logIn();
      expect(await get('overview')).toMatchObject({
        host: { kind: 'stack', name: 'stack Tranship' },
        tags: { planned: 1, inStep: 0, failing: 1 },
        nextRuns: null,
        actions: { redrive: true, sync: false },
      });
      expect(await get('causes')).toMatchObject({ causes: [{ code: 'denied', tags: 1 }] });
      const tag = `${destination.host}/mirror/app:v1`;
      expect(await get(`tag?destination=${tag}`)).toMatchObject({ state: 'failed', history: [{ runId: 'daily-1' }] });
      expect(await get('pushes')).toEqual({ events: null });
      expect(await post('redrive', { ruleId: 'another' })).toEqual({ count: 0 });
      expect(await post('redrive', { ruleId: 'rule', code: 'network' })).toEqual({ count: 1 });
    } finally {
      expect(await ui.stop()).toMatchObject({ code: 0 });
    }
  });

  it.each([
    [['status', '--stack', 'Other'], /no stack Other/],
    [['status', '--stack', 'Tranship', '--state', 'here'], /--stack and --state/],
    [['redrive', '--stack', 'Tranship', '--dry-run'], /--dry-run/],
    [['worker'], /--stack NAME/],
    [['worker', '--stack', 'Other'], /no stack Other/],
    [['status', '--stack', 'New'], /CREATE_IN_PROGRESS and does not tell.*Wait until/s],
    [['status', '--stack', 'Broken'], /ROLLBACK_COMPLETE and does not tell.*delete the stack/s],
    // The outputs of a stack of an earlier version.
    [['worker', '--stack', 'Tranship'], /does not tell its WorkerSettings.*Deploy it with this version/s],
  ])('%j ends with 2', async (args, message) => {
    const ended = await place.run(args, env);
    expect(ended.stderr).toMatch(message);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
  });
});
