import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type BetweenRegistries, deployBetweenRegistries, until } from '../support/aws-host/between-registries.ts';
import { type Fault, serverError } from '../support/faults.ts';
import { toolsReady } from '../support/tools.ts';

/** Each test has a rule of its own. */
const names = ['redriven', 'spent', 'halfway', 'doubled', 'poisoned', 'refused'] as const;
type Name = (typeof names)[number];

describe.skipIf(!toolsReady('docker-registry'))('dead letters of the deployed stack', () => {
  let stack: BetweenRegistries<Name>;

  beforeAll(async () => {
    stack = await deployBetweenRegistries(names);
  });

  beforeEach(() => stack.clearFaults());

  afterAll(() => stack?.close());

  const failing = (name: Name): Fault => ({
    when: { method: 'PUT', path: new RegExp(`^/v2/${name}/app/manifests/1`) },
    effect: serverError(),
  });

  it('brings dead letters back, and fails what was tried often enough', async () => {
    const { host } = stack;
    for (const name of ['redriven', 'spent'] as const) {
      await pushImage(stack.at(name), { seed: name, tag: '1' });
      await pushImage(stack.at(name), { seed: `${name} 2`, tag: '2' });
    }
    stack.destination.setFaults([failing('redriven'), failing('spent')]);
    const deadLetters = () => host.queue('Tasks/DeadLetters').counts().ready;
    const [redriven, spent] = [await stack.start('redriven'), await stack.start('spent')];
    await until(() => deadLetters() === 2);
    expect(await stack.ledger.readRun(redriven)).toMatchObject({ state: 'running', counts: { copied: 1 } });

    stack.destination.setFaults([failing('spent')]);
    expect(await host.fire('Redrive')).toMatchObject({ ok: true });
    expect((await stack.ended(redriven)).counts).toMatchObject({ planned: 2, copied: 2, failed: 0 });
    expect(await stack.audit(redriven, 2)).toEqual([]);
    expect(await stack.auditCopies('redriven')).toEqual([]);

    await until(() => deadLetters() === 1);
    expect(await host.fire('Redrive')).toMatchObject({ ok: true });
    expect((await stack.ended(spent)).counts).toMatchObject({ planned: 2, copied: 1, failed: 1 });
    expect(deadLetters()).toBe(0);
    expect(await stack.audit(spent, 2)).toEqual([]);
    expect(await stack.auditCopies('spent', { without: ['1'] })).toEqual([]);
    const failed = (await stack.outcomes(spent)).filter(({ result }) => result === 'failed');
    expect(failed.map(({ failure }) => failure)).toEqual([
      expect.objectContaining({ class: 'transient', code: 'server-error', status: 503, operation: 'put manifest' }),
    ]);
    await until(() => host.mails().length > 0);
    expect(host.mails().map(({ Message }) => Message)).toEqual([expect.stringContaining('spent/app:1')]);
  });

  it('loses none where the redrive is killed half-way', async () => {
    const { host } = stack;
    await pushImage(stack.at('halfway'), { seed: 'halfway', tag: '1' });
    stack.destination.setFaults([failing('halfway')]);
    const run = await stack.start('halfway');
    const letters = host.queue('Tasks/DeadLetters');
    await until(() => letters.counts().ready === 1);
    stack.clearFaults();

    let killed = 0;
    host.onCall(async ({ function: id, operation }) => {
      // The task goes back to its queue, and its letter stays.
      if (id.includes('Redrive') && operation === 'SendMessageBatch') killed += await host.kill('Redrive/Function');
    });
    await host.fire('Redrive');
    host.onCall(undefined);
    expect(killed).toBe(1);
    expect(letters.counts()).toEqual({ ready: 0, delayed: 0, inFlight: 1 });

    await letters.reveal();
    expect(await host.fire('Redrive')).toMatchObject({ ok: true });
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 1, copied: 1, failed: 0 });
    await host.settle();
    expect(letters.bodies()).toEqual([]);
    expect(await stack.audit(run, 1)).toEqual([]);
    expect(await stack.auditCopies('halfway')).toEqual([]);
  });

  it('takes a schedule that is delivered twice for one run', async () => {
    const { host } = stack;
    await pushImage(stack.at('doubled'), { seed: 'doubled', tag: '1' });
    const event = { trigger: 'doubled', scheduledTime: '2026-11-24T03:00:00Z', rules: ['doubled'] };
    const runId = 'doubled-2026-11-24T03:00:00Z';
    for (let delivery = 0; delivery < 2; delivery++) {
      expect(await host.invoke('Planner/Function', event)).toMatchObject({
        payload: JSON.stringify({ runId, rules: 1 }),
      });
    }
    expect((await stack.ended(runId)).counts).toMatchObject({ planned: 1, copied: 1 });
    await host.settle();
    expect(await stack.audit(runId, 1)).toEqual([]);
    expect(await stack.auditCopies('doubled')).toEqual([]);
  });

  it('sets messages aside that it cannot read, and goes on with the others', async () => {
    const { host } = stack;
    await pushImage(stack.at('poisoned'), { seed: 'poisoned', tag: '1' });
    const later = JSON.stringify({ version: 2, runId: 'of-the-future' });
    await host.send('Tasks/Queue', 'no JSON');
    await host.send('Tasks/Queue', later);
    await host.send('Plans/Queue', 'no JSON either');
    await host.send('Plans/Queue', later);
    const run = await stack.start('poisoned');
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 1, copied: 1 });
    await until(() => host.queue('Tasks/DeadLetters').counts().ready === 2);
    await until(() => host.queue('Plans/DeadLetters').counts().ready === 2);
    expect(host.output('Copier/Function')).toContain('has version 2; this program reads version 1');
    expect(await stack.audit(run, 1)).toEqual([]);
    expect(await stack.auditCopies('poisoned')).toEqual([]);

    // A look for the end that nobody came to take.
    await host.send('Plans/DeadLetters', JSON.stringify({ version: 1, kind: 'end-check', runId: run, attempt: 1 }));
    const answer = await host.fire('Redrive');
    expect(answer).toMatchObject({ ok: true });
    expect(host.queue('Tasks/DeadLetters').bodies()).toEqual([later]);
    expect(host.queue('Plans/DeadLetters').bodies()).toEqual([later]);
  });

  it('tries what failed for good again where a person asks, as a run of its own', async () => {
    const { host } = stack;
    for (const tag of ['1', '2']) await pushImage(stack.at('refused'), { seed: `refused ${tag}`, tag });
    const denied: Fault = { when: failing('refused').when, effect: { kind: 'answer', status: 403 } };
    stack.destination.setFaults([denied]);
    const run = await stack.start('refused');
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 2, copied: 1, failed: 1 });
    expect(host.queue('Tasks/DeadLetters').bodies().join()).not.toContain('refused');

    // The rights were mended.
    stack.clearFaults();
    const ask = async () => {
      const answer = await host.invoke('Redrive/Function', { code: 'denied' });
      return answer.ok ? JSON.parse(answer.payload) : answer;
    };
    expect(await ask()).toMatchObject({ redriven: 1, failed: 0 });
    const [redriven] = await stack.ledger.listRuns(1);
    expect(redriven).toMatchObject({ trigger: 'redrive', counts: { planned: 1 } });
    expect((await stack.ended(redriven!.id)).counts).toMatchObject({ planned: 1, copied: 1, failed: 0 });
    expect(await stack.auditCopies('refused')).toEqual([]);
    expect(await ask()).toMatchObject({ redriven: 0, failed: 0 });
  });

  it('never asks for what its roles may not do, and nearly uses up what they may', () => {
    const { permissions } = stack.host;
    expect(permissions.denied()).toEqual([]);
    const unused = permissions
      .unused()
      .map((line) => line.replace(/^Tranship|(?<=Role)[0-9A-F]{8}|arn:.*:tranship-Tranship|[0-9A-F]{8}$/g, ''));
    // What CDK's grantSendMessages, for failed asynchronous invocations, gives besides the right to send.
    expect(unused).toEqual([
      // No task of this test takes longer than a copier has.
      'CopierRole: sqs:SendMessage on LongTasksQueue',
      'PlannerRole: sqs:GetQueueAttributes on MissedTriggers',
      'PlannerRole: sqs:GetQueueUrl on MissedTriggers',
      'RedriveRole: sqs:GetQueueAttributes on MissedTriggers',
      'RedriveRole: sqs:GetQueueUrl on MissedTriggers',
      'RedriveRole: sqs:SendMessage on LongTasksQueue',
    ]);
  });
});
