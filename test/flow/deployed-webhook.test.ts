import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from '../../demo/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../demo/registry/server.ts';
import { until } from '../support/aws-host/between-registries.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';

const token = 'u8Qd0yq3bX7nT1cVfK2mZw';
const signingSecret = 'a secret of some length';

describe('the webhook of the deployed stack', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let stack: Deployment;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    const rule = { name: 'app', from: `${source.host}/team/app`, to: [`${destination.host}/mirror/app`] };
    stack = await deploy([rule], { webhooks: true });
    const login = { insecure: true };
    stack.host.putSecret('Logins/Secret', JSON.stringify({ [source.host]: login, [destination.host]: login }));
    const allow = [source.host];
    stack.host.putSecret(
      'Webhook/Secret',
      JSON.stringify({
        ci: { dialect: 'plain', token, allow },
        signed: { dialect: 'gitea', hmac: signingSecret, allow, registry: source.host },
      }),
    );
  });
  afterAll(async () => {
    await stack.close();
    await Promise.all([source.close(), destination.close()]);
  });

  /** As a Function URL gives a request to its function. */
  async function post(path: string, body: string, headers: Record<string, string> = {}) {
    const answer = await stack.host.invoke('Webhook/Handler/Function', {
      version: '2.0',
      rawPath: path,
      headers: { 'content-type': 'application/json', ...headers },
      requestContext: { http: { method: 'POST', path } },
      body: Buffer.from(body).toString('base64'),
      isBase64Encoded: true,
    });
    if (!answer.ok) throw new Error(`${answer.type}: ${answer.message}`);
    return JSON.parse(answer.payload) as { statusCode: number; body: string };
  }

  const push = (tag: string) => pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag });
  const isThere = (tag: string) => () =>
    destination.content.has('mirror/app') && destination.content.tags('mirror/app').includes(tag);

  it('brings an announced tag to its destination, without a plan', async () => {
    await push('1.0');
    source.requests.length = 0;
    const answer = await post(`/hooks/ci/${token}`, JSON.stringify({ image: `${source.host}/team/app:1.0` }));
    expect(answer).toMatchObject({ statusCode: 200, body: '{"accepted":1,"ignored":0}' });
    await until(isThere('1.0'));
    expect(source.count('list tags')).toBe(0);
    await stack.host.settle();
    expect(stack.host.events().map(({ Detail }) => JSON.parse(Detail))).toMatchObject([
      { trigger: 'push-ci', state: 'done', counts: { planned: 1, copied: 1, failed: 0 } },
    ]);
    expect(stack.host.permissions.denied()).toEqual([]);
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
    expect(forged.statusCode).toBe(401);
    const answer = await post('/hooks/signed', body, { ...headers, 'x-gitea-signature': sign(body) });
    expect(answer).toMatchObject({ statusCode: 200 });
    await until(isThere('2.0'));
  });

  it.each([
    ['an unknown source', '/hooks/nobody/token'],
    ['a wrong token', `/hooks/ci/${token}x`],
    ['no path of its own', '/'],
  ])('answers %s with 404 and queues nothing', async (_what, path) => {
    const before = stack.host.calls.filter(({ operation }) => operation === 'SendMessageBatch').length;
    expect((await post(path, '{"image":"x/y:1"}')).statusCode).toBe(404);
    expect(stack.host.calls.filter(({ operation }) => operation === 'SendMessageBatch').length).toBe(before);
  });

  it('answers 200 for what no rule takes, and 400 for what cannot be read', async () => {
    const unmatched = await post(`/hooks/ci/${token}`, JSON.stringify({ image: `${source.host}/other/app:1` }));
    expect(unmatched.statusCode).toBe(200);
    expect((await post(`/hooks/ci/${token}`, 'no json')).statusCode).toBe(400);
  });
});
