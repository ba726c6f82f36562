import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTask } from '../../core/pipeline/messages.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { urlToken } from '../support/announce.ts';
import { until } from '../support/aws-host/between-registries.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';
import { webhooksFile } from '../support/synth.ts';

const folder = new URL('../../events/functions/', import.meta.url);
const ecrSource = { registry: '123456789012.dkr.ecr.eu-west-1.amazonaws.com', repository: 'team/app' };

/** Each sample event of a function does what it is a sample of, in the bundle as it is deployed. */
describe('the sample events of functions', () => {
  let source: EmbeddedRegistry;
  let mirror: EmbeddedRegistry;
  let stack: Deployment;
  const tried = new Set<string>();

  beforeAll(async () => {
    [source, mirror] = await Promise.all([startRegistry(), startRegistry()]);
    for (const tag of ['1.4.2', '1.4.3'])
      await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag });
    const rules = [
      { name: 'app', from: `${source.host}/team/app`, to: [`${mirror.host}/mirror/app`] },
      { name: 'ecr', from: `${ecrSource.registry}/team/app`, to: [`${mirror.host}/mirror/ecr`] },
    ];
    const file = webhooksFile(`ci: { dialect: plain, token: $CI_TOKEN, allow: ["${source.host}"] }`);
    stack = await deploy(rules, { webhooksFile: file, ecrEvents: true });
    const logins = [source, mirror].map(({ host }) => [host, { insecure: true }]);
    stack.host.putSecret('Logins/Secret', JSON.stringify(Object.fromEntries(logins)));
    stack.host.putSecret('Webhook/Secret', JSON.stringify({ CI_TOKEN: urlToken }));
  });
  afterAll(async () => {
    await stack?.close();
    await Promise.all([source, mirror].map((one) => one?.close()));
  });

  /** Invokes the function that the name begins with. @returns its answer */
  async function send(name: string): Promise<unknown> {
    tried.add(name);
    const text = readFileSync(new URL(`${name}.json`, folder), 'utf8')
      .replaceAll('registry.example.com', source.host)
      .replaceAll('mirror.example.com', mirror.host);
    const [lambda = ''] = name.split('-', 1);
    const path =
      lambda === 'webhook' ? 'Webhook/Handler/Function' : `${lambda[0]?.toUpperCase()}${lambda.slice(1)}/Function`;
    const answer = await stack.host.invoke(path, JSON.parse(text));
    if (!answer.ok) throw new Error(`${answer.type}: ${answer.message}`);
    return JSON.parse(answer.payload);
  }
  const isThere = (tag = '1.4.2') =>
    mirror.content.has('mirror/app') && mirror.content.tags('mirror/app').includes(tag);
  const remove = (tag: string) => mirror.content.deleteManifest('mirror/app', tag);

  it('of the task queue has a copier copy', async () => {
    expect(await send('copier-task-queue')).toEqual({ batchItemFailures: [] });
    expect(isThere()).toBe(true);
  });

  it('of a schedule starts one run, however often it is delivered', async () => {
    const started = { runId: 'daily-2026-08-20T03:00:00Z', rules: 1 };
    expect(await send('planner-schedule')).toEqual(started);
    expect(await send('planner-schedule')).toEqual(started);
    const run = await stack.ended(started.runId);
    expect(run).toMatchObject({ state: 'done', counts: { planned: 2, copied: 1, unchanged: 1 } });
  });

  it('of the plan queue has a rule expanded', async () => {
    expect(await send('planner-plan-queue')).toEqual({ batchItemFailures: [] });
    expect(stack.host.output('Planner/Function')).toContain('page planned');
  });

  it('of an operator copies what is there already', async () => {
    remove('1.4.2');
    const started = await send('planner-by-hand');
    expect(started).toMatchObject({ runId: expect.stringMatching(/^by-hand-/), rules: 1 });
    await until(() => isThere());
  });

  it.each(['redrive-schedule', 'redrive-by-hand'])('of %s looks at the dead letters', async (name) => {
    expect(await send(name)).toMatchObject({ redriven: 0, failed: 0 });
  });

  it.each([
    ['webhook-function-url', '1.4.2'],
    ['webhook-http-api', '1.4.3'],
  ])('of %s has what was announced copied', async (name, tag) => {
    await stack.host.settle();
    remove(tag);
    const answer = await send(name);
    expect(answer).toMatchObject({ statusCode: 200, body: '{"accepted":1,"ignored":0}' });
    await until(() => isThere(tag));
  });

  it('of ECR becomes a task', async () => {
    await stack.host.settle();
    // It stays where it is: the registry is not there.
    await stack.host.mapping('PushedTasks/Queue').close();
    await send('webhook-ecr');
    const [body = ''] = stack.host.queue('PushedTasks/Queue').bodies();
    expect(parseTask(body).message.source).toEqual({ ...ecrSource, tag: '1.4.2' });
    expect(stack.host.permissions.denied()).toEqual([]);
  });

  it('are all tried', () => {
    expect([...tried].sort()).toEqual(readdirSync(folder).map((name) => name.replace(/\.json$/, '')));
  });
});
