import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTask } from '../../core/pipeline/messages.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { readSample, sampleNames, urlToken } from '../support/announce.ts';
import { until } from '../support/aws-host/between-registries.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';
import { type Distribution, startDistribution } from '../support/distribution.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';
import { pushCosignSignature } from '../support/images.ts';
import { startRelay } from '../support/serve.ts';
import { makeKeyPair, pushBundle, signedBundle } from '../support/signing.ts';
import { webhooksFile } from '../support/synth.ts';
import { skopeo, toolsReady } from '../support/tools.ts';

const signingSecret = 'a secret of some length';
const tagsAt = ({ content }: EmbeddedRegistry, repository: string) =>
  content.has(repository) ? content.tags(repository) : [];

const keyPair = makeKeyPair();

describe('the webhook of the deployed stack', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let slow: FaultyRegistry;
  let stack: Deployment;
  let url: string;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    slow = await startFaultyRegistry({ upstream: destination.url });
    const rules = [
      { name: 'app', from: `${source.host}/team/app`, to: [`${destination.host}/mirror/app`] },
      { name: 'large', from: `${source.host}/team/large`, to: [`${slow.host}/mirror/large`] },
    ];
    const newest = {
      name: 'newest',
      from: `${source.host}/team/newest`,
      to: [`${destination.host}/mirror/newest`],
      tags: { newest: 1 },
    };
    const file = webhooksFile(`
ci: { dialect: plain, token: $CI_TOKEN, allow: ["${source.host}"] }
signed: { dialect: gitea, hmac: $SIGNING_SECRET, allow: ["${source.host}"], registry: "${source.host}" }
later: { dialect: plain, token: $LATER_TOKEN, allow: ["${source.host}"] }
`);
    const signed = {
      name: 'signed',
      from: `${source.host}/team/signed`,
      to: [`${destination.host}/mirror/signed`],
      require: { key: keyPair.publicKey },
    };
    stack = await deploy([...rules, newest, signed], { webhooksFile: file });
    const login = { insecure: true };
    const logins = [source, destination, slow].map(({ host }) => [host, login]);
    stack.host.putSecret('Logins/Secret', JSON.stringify(Object.fromEntries(logins)));
    // The value for one sender is not put in yet.
    const values = { CI_TOKEN: urlToken, SIGNING_SECRET: signingSecret };
    stack.host.putSecret('Webhook/Secret', JSON.stringify(values));
    url = await stack.host.functionUrl('Webhook/Handler/Function');
  });
  afterAll(async () => {
    await stack?.close();
    await Promise.all([slow, source, destination].map((one) => one?.close()));
  });

  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    fetch(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  const announce = (image: string) =>
    post(`/hooks/ci/${urlToken}`, JSON.stringify({ image: `${source.host}/${image}` }));
  const push = (tag: string, repository = 'team/app') => pushImage({ url: source.url, repository }, { seed: tag, tag });
  const isThere = (tag: string) => () => tagsAt(destination, 'mirror/app').includes(tag);

  it('brings an announced tag to its destination, without a plan', async () => {
    await push('1.0');
    source.requests.length = 0;
    const answer = await announce('team/app:1.0');
    expect([answer.status, await answer.json()]).toEqual([200, { accepted: 1, ignored: 0 }]);
    await until(isThere('1.0'));
    expect(destination.count('list tags')).toBe(0);
    await stack.host.settle();
    expect(stack.host.events().map(({ Detail }) => JSON.parse(Detail))).toMatchObject([
      { trigger: 'push-ci', state: 'done', counts: { planned: 1, copied: 1, failed: 0 } },
    ]);
    expect(stack.host.permissions.denied()).toEqual([]);
  });

  it('brings a signature that is announced later, and an image once it is signed as its rule requires', async () => {
    const at = { url: source.url, repository: 'team/app' };
    const late = await pushCosignSignature(at, await push('1.0'));
    const sig = tagsAt(source, 'team/app').find((tag) => tag.endsWith('.sig')) ?? '';
    await announce(`team/app:${sig}`);
    const digestAt = (repository: string, reference: string) =>
      destination.content.manifest(repository, reference)?.digest;
    await until(() => digestAt('mirror/app', sig) === late.digest);

    const image = await push('1.0', 'team/signed');
    await announce('team/signed:1.0');
    await until(() => /unsigned|early|not yet/.test(stack.host.output('Copier/Function')));
    expect(destination.content.has('mirror/signed')).toBe(false);
    const to = { url: source.url, repository: 'team/signed' };
    const bundle = await pushBundle(to, image, signedBundle(image.digest, keyPair));
    await announce(`team/signed@${bundle.digest}`);
    await until(() => digestAt('mirror/signed', '1.0') === image.digest);
    expect(digestAt('mirror/signed', bundle.digest)).toBe(bundle.digest);
    await stack.host.settle();
  });

  it('takes a signature over the raw bytes, and no other', async () => {
    await push('2.0');
    const body = JSON.stringify({
      action: 'created',
      package: { type: 'container', name: 'app', version: '2.0', owner: { login: 'team' } },
    });
    const sign = (text: string) => createHmac('sha256', signingSecret).update(text).digest('hex');
    const headers = { 'x-gitea-event': 'package' };
    const forged = await post('/hooks/signed', body, { ...headers, 'x-gitea-signature': sign('another body') });
    expect(forged.status).toBe(401);
    const answer = await post('/hooks/signed', body, { ...headers, 'x-gitea-signature': sign(body) });
    expect(answer.status).toBe(200);
    await until(isThere('2.0'));
  });

  it.each([
    ['an unknown source', '/hooks/nobody/token'],
    ['a wrong token', `/hooks/ci/${urlToken}x`],
    ['no path of its own', '/'],
    ['a sender whose secret is not put in', `/hooks/later/${urlToken}`],
  ])('answers %s with 404 and queues nothing', async (_what, path) => {
    // Of this function alone: copiers may send on what the tests before left.
    const sent = () =>
      stack.host.calls.filter(({ function: by, operation }) => /Webhook/.test(by) && operation === 'SendMessageBatch')
        .length;
    const before = sent();
    expect(before).toBeGreaterThan(0);
    expect((await post(path, '{"image":"x/y:1"}')).status).toBe(404);
    expect(sent()).toBe(before);
  });

  it('tells in its log which sender it left out, and no secret', () => {
    const log = stack.host.output('Webhook/Handler/Function');
    expect(log).toMatch(/sender left out.*later/);
    for (const secret of [urlToken, signingSecret]) expect(log).not.toContain(secret);
  });

  it('answers 200 for what no rule takes, and 400 for what cannot be read', async () => {
    expect((await announce('other/app:1')).status).toBe(200);
    expect((await post(`/hooks/ci/${urlToken}`, 'no json')).status).toBe(400);
  });

  it('does not let a pushed tag wait behind a long run', async () => {
    const tags = ['a', 'b', 'c', 'd', 'e'];
    for (const tag of tags) await push(tag, 'team/large');
    slow.setFaults([{ when: { method: 'PUT', path: /uploads/ }, effect: { kind: 'stall-request', afterBytes: 10 } }]);
    await stack.start('large');
    // All copiers of the run are at work, and more is to do.
    await until(() => stack.host.busy('Copier/Function') === 3);
    for (const repository of ['team/app', 'team/newest']) {
      await push('3.0', repository);
      await announce(`${repository}:3.0`);
    }
    await until(isThere('3.0'));
    await until(() => tagsAt(destination, 'mirror/newest').includes('3.0'));
    expect(tagsAt(destination, 'mirror/large')).toEqual([]);
    slow.setFaults([]);
    await stack.host.kill('Copier/Function');
  });
});

describe("ECR's own events", () => {
  let stack: Deployment;

  beforeAll(async () => {
    const from = '123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app';
    stack = await deploy([{ name: 'app', from, to: ['registry.example.com/mirror/app'] }], { ecrEvents: true });
    // The task stays where it is: the registries are not there.
    await stack.host.mapping('PushedTasks/Queue').close();
  });
  afterAll(() => stack?.close());

  const event = (changes: { account?: string; repository?: string; action?: string }) => {
    const sample = JSON.parse(readSample('ecr/push').rawBody.toString());
    const { account = sample.account, repository = 'team/app', action = 'PUSH' } = changes;
    const detail = { ...sample.detail, 'repository-name': repository, 'action-type': action };
    return { ...sample, account, detail };
  };

  it('become tasks where a rule takes the tag', async () => {
    const [answer] = await stack.host.putEvent(event({}));
    expect(answer).toMatchObject({ ok: true });
    const [body = ''] = stack.host.queue('PushedTasks/Queue').bodies();
    expect(parseTask(body).message).toMatchObject({
      ruleId: 'app',
      source: { registry: '123456789012.dkr.ecr.eu-west-1.amazonaws.com', repository: 'team/app', tag: '1.4.2' },
    });
    expect(stack.host.permissions.denied()).toEqual([]);
  });

  it('are delivered where they tell of an image that arrived', async () => {
    const delivered: string[] = [];
    for (const name of sampleNames.filter((one) => one.startsWith('ecr/') && !one.includes('sns'))) {
      const sample = JSON.parse(readSample(name).rawBody.toString());
      const arrivals = await stack.host.putEvent({ ...sample, account: '123456789012', region: 'eu-west-1' });
      if (arrivals.some(({ ok }) => ok)) delivered.push(name);
    }
    expect(delivered).toEqual(['ecr/push', 'ecr/push-china', 'ecr/push-untagged', 'ecr/replication']);
  });

  it('are not delivered, or lead to nothing, where no rule takes them', async () => {
    const before = stack.host.queue('PushedTasks/Queue').bodies().length;
    expect(await stack.host.putEvent(event({ repository: 'team/other' }))).toEqual([]);
    expect(await stack.host.putEvent(event({ action: 'DELETE' }))).toEqual([]);
    expect(await stack.host.putEvent(event({ account: '444455556666' }))).toMatchObject([{ ok: true }]);
    expect(stack.host.queue('PushedTasks/Queue').bodies()).toHaveLength(before);
  });
});

describe.skipIf(!toolsReady('docker-registry', 'skopeo'))('CNCF distribution before the deployed stack', () => {
  let source: Distribution;
  let destinations: [EmbeddedRegistry, EmbeddedRegistry];
  let scratch: EmbeddedRegistry;
  let relay: Awaited<ReturnType<typeof startRelay>>;
  let stack: Deployment;

  beforeAll(async () => {
    relay = await startRelay();
    source = await startDistribution({ notifyUrl: `${relay.url}/hooks/cncf/${urlToken}` });
    scratch = await startRegistry();
    destinations = [await startRegistry(), await startRegistry()];
    const to = [`${destinations[0].host}/mirror/app`, `${destinations[1].host}/copy/app`];
    const file = webhooksFile(`cncf: { dialect: distribution, token: $TOKEN, allow: ["${source.host}"] }`);
    stack = await deploy([{ name: 'app', from: `${source.host}/team/app`, to }], { webhooksFile: file });
    const logins = [source, ...destinations].map(({ host }) => [host, { insecure: true }]);
    stack.host.putSecret('Logins/Secret', JSON.stringify(Object.fromEntries(logins)));
    stack.host.putSecret('Webhook/Secret', JSON.stringify({ TOKEN: urlToken }));
    relay.to(await stack.host.functionUrl('Webhook/Handler/Function'));
  });
  afterAll(async () => {
    await stack?.close();
    await Promise.all([relay, source, scratch, ...(destinations ?? [])].map((one) => one?.close()));
  });

  it('has a tag that skopeo pushed at two destinations', async () => {
    const image = await pushImage({ url: scratch.url, repository: 'made/app' }, { seed: 'one', tag: '1.0' });
    const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    const [from, to] = [`docker://${scratch.host}/made/app:1.0`, `docker://${source.host}/team/app:1.0`];
    await skopeo(['copy', '--all', ...plain, from, to]);
    const [first, second] = destinations;
    await until(() => tagsAt(first, 'mirror/app').length + tagsAt(second, 'copy/app').length === 2);
    expect(first.content.manifest('mirror/app', '1.0')?.digest).toBe(image.digest);
    expect(second.content.manifest('copy/app', '1.0')?.digest).toBe(image.digest);
    await stack.host.settle();
    expect(stack.host.events().map(({ Detail }) => JSON.parse(Detail))).toMatchObject([
      { trigger: 'push-cncf', state: 'done', counts: { planned: 2, copied: 2, failed: 0 } },
    ]);
  });
});
