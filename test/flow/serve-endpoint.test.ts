import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { request as sendRequest } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import { type Delivery, openHookServer } from '../../machine/serve/hook-server.ts';
import { deps, senderOf, urlToken } from '../support/announce.ts';
import { openWorkplace, type Workplace } from '../support/command.ts';
import { type Serving, startServe } from '../support/serve.ts';

const secret = 'a secret of some length';
const image = { image: 'registry.example.com/team/app:1.0' };

describe('the HTTP server of serve', () => {
  let place: Workplace;
  let serving: Serving;

  beforeAll(async () => {
    place = openWorkplace();
    place.write('images.yaml', 'registry.example.com/team/app: mirror.example.com/app\n');
    place.write(
      'webhooks.yaml',
      `ci: { dialect: plain, token: $TOKEN, allow: [registry.example.com/team] }
signed: { dialect: plain, hmac: $SECRET, allow: [registry.example.com] }
`,
    );
    const env = { TOKEN: urlToken, SECRET: secret };
    // Announced tags stay where they are: nothing is asked of registries that do not exist.
    serving = await startServe(place, ['--debounce', '1h', '--max-queue', '2'], env);
  });
  afterAll(async () => {
    await serving?.kill('SIGKILL');
    place.remove();
  });

  const get = async (path: string, method = 'GET') => {
    const answer = await fetch(`${serving.url}${path}`, { method });
    return [answer.status, await answer.text()];
  };

  it('answers for its health', async () => {
    expect(await get('/healthz')).toEqual([200, 'ok\n']);
    expect(await get('/readyz')).toEqual([200, 'ready\n']);
    expect(await get('/elsewhere')).toEqual([404, 'not found\n']);
    expect((await get('/healthz', 'POST'))[0]).toBe(405);
  });

  it('takes nothing of somebody who does not know the URL or the secret', async () => {
    expect((await serving.post('ci', image, { token: 'n8Qd0yq3bX7nT1cVfK2mZw' })).status).toBe(404);
    expect((await serving.post('nobody', image)).status).toBe(404);
    const sign = (key: string) => ({
      'x-hub-signature-256': `sha256=${createHmac('sha256', key).update(JSON.stringify(image)).digest('hex')}`,
    });
    const signed = (headers: Record<string, string>) =>
      fetch(`${serving.url}/hooks/signed`, { method: 'POST', headers, body: JSON.stringify(image) });
    expect((await signed({})).status).toBe(401);
    expect((await signed(sign('another secret of length'))).status).toBe(401);
    expect(await serving.metric('tranship_queue_messages')).toEqual({ '': 0 });
    expect(await serving.metric('tranship_deliveries_total')).toEqual({
      'source="ci",status="404"': 1,
      'source="unknown",status="404"': 1,
      'source="signed",status="401"': 2,
    });
  });

  it('refuses what is too large, not JSON or not posted', async () => {
    expect((await serving.post('ci', 'x'.repeat(5_000_000))).status).toBe(413);
    expect((await serving.post('ci', 'not json')).status).toBe(400);
    expect((await get(`/hooks/ci/${urlToken}`))[0]).toBe(405);
  });

  it('hangs up on a sender of an endless body', async () => {
    const { hostname, port } = new URL(serving.url);
    const endless = sendRequest({ hostname, port, path: `/hooks/ci/${urlToken}`, method: 'POST' });
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const pour = (): void => {
      while (!endless.destroyed && endless.write(chunk));
    };
    const closed = new Promise((resolve) => endless.on('close', resolve).on('error', resolve));
    endless.on('drain', pour).on('response', (answer) => answer.resume());
    pour();
    await closed;
    endless.destroy();
    expect(await get('/healthz')).toEqual([200, 'ok\n']);
  });

  it('takes an announcement once, counts what it does not take, and refuses more than may wait', async () => {
    const counts = async (body: unknown) => (await serving.post('ci', body)).json();
    expect(await counts({ image: 'registry.example.com/other/app:1' })).toMatchObject({ accepted: 0, ignored: 1 });
    expect(await counts({ image: 'registry.example.com/team/else:1' })).toMatchObject({ accepted: 0, ignored: 1 });
    expect(await counts({ ...image, action: 'delete' })).toMatchObject({ accepted: 0, ignored: 1 });
    expect(await counts([image, image])).toEqual({ accepted: 2, ignored: 0 });
    expect(await counts(image)).toEqual({ accepted: 1, ignored: 0 });
    expect(await serving.metric('tranship_announcements_total')).toEqual({
      'source="ci",result="not-allowed"': 1,
      'source="ci",result="unmatched"': 1,
      'source="ci",result="deletion"': 1,
      'source="ci",result="merged"': 2,
      'source="ci",result="queued"': 1,
    });
    expect(await serving.metric('tranship_queue_messages')).toEqual({ '': 1 });

    await serving.post('ci', { image: 'registry.example.com/team/app:1.1' });
    const refused = await serving.post('ci', { image: 'registry.example.com/team/app:1.2' });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '30']);
    expect(await get('/readyz')).toEqual([503, 'too many tags are waiting\n']);
    expect(await get('/healthz')).toEqual([200, 'ok\n']);
  });

  it('tells of what no rule takes, each repository once, and no secret', async () => {
    await serving.post('ci', { image: 'registry.example.com/team/else:2' });
    const { stderr, stdout } = await serving.kill('SIGKILL');
    expect(stderr.match(/no rule takes .*/g)).toEqual([
      'no rule takes registry.example.com/team/else:1, announced by ci',
    ]);
    expect(stderr.match(/ignored .*/g)).toEqual([
      expect.stringMatching(/^ignored an event of ci: not-allowed, registry.example.com\/other\/app:1: .*allow:/),
      'ignored an event of ci: deletion, registry.example.com/team/app:1.0: no rule mirrors its deletion',
    ]);
    // Each sender, status and reason once.
    expect(stderr.match(/refused .*/g)).toEqual([
      'refused a delivery of ci with 404: the token in the URL is wrong',
      'refused a delivery of signed with 401: the signature is missing',
      'refused a delivery of signed with 401: the signature is wrong',
      'refused a delivery of ci with 413: the body is longer than 4194304 bytes',
      'refused a delivery of ci with 400: the body is not JSON',
      'refused a delivery of ci with 405: push events are sent by POST',
      'refused a delivery of ci with 503: too many tags are waiting',
    ]);
    for (const text of [secret, urlToken]) expect(stderr + stdout).not.toContain(text);
  });
});

it('says in the log, and not to the sender, why nothing can be stored', async () => {
  const deliveries: Delivery[] = [];
  const server = await openHookServer({
    listen: { host: '127.0.0.1', port: 0 },
    senders: () => new Map([['test', senderOf('plain')]]),
    verify: deps,
    refusal: () => undefined,
    store: () => Promise.reject(new TranshipError('/var/lib is full', { class: 'transient', code: 'server-error' })),
    delivered: (delivery) => deliveries.push(delivery),
    admin: { refusal: () => undefined, metrics: async () => ({ contentType: 'text/plain', text: '' }) },
  });
  const url = `${server.url}/hooks/test/${urlToken}`;
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(image) });
  expect([answer.status, await answer.json()]).toEqual([503, { error: 'it could not be stored' }]);
  expect(deliveries).toMatchObject([
    { sender: 'test', status: 503, refusal: 'it could not be stored: /var/lib is full' },
  ]);
  await server.close();
});

describe('what serve cannot go by', () => {
  it.each([
    ['no sender and no schedule', {}, ['serve'], 'there is nothing to serve'],
    ['a schedule that is none', {}, ['serve', '--schedule', 'daily'], '"daily" is not a schedule'],
    ['an address that is none', {}, ['serve', '--listen', '8080'], '"8080" is not an address'],
    [
      'a token that is not set',
      { 'webhooks.yaml': 'ci: { dialect: plain, token: $X, allow: [a.b] }' },
      ['serve'],
      'X is not set',
    ],
    ['no webhooks file', {}, ['webhooks'], 'there are no senders'],
  ])('%s ends with 2', async (_, files, args, message) => {
    const place = openWorkplace();
    place.write('images.yaml', 'a.example/app: b.example/app\n');
    for (const [name, text] of Object.entries(files)) place.write(name, text);
    const { code, stderr } = await place.run(args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    place.remove();
  });
});

describe('the files of serve', () => {
  it('are checked by --check, and read again at SIGHUP', async () => {
    const place = openWorkplace();
    place.write('images.yaml', 'a.example/app: b.example/app\n');
    place.write('webhooks.yaml', `ci: { dialect: plain, token: ${urlToken}, allow: [a.example] }\n`);
    const checked = await place.run(['serve', '--check']);
    expect([checked.code, checked.stdout]).toEqual([0, 'The files can be used: 1 rule, 1 sender, 0 schedules.\n']);

    const serving = await startServe(place, ['--schedule', '0 3 * * *']);
    // As while an editor writes it.
    rmSync(join(place.directory, 'webhooks.yaml'));
    process.kill(serving.pid, 'SIGHUP');
    await expect.poll(() => serving.log(), { timeout: 30_000 }).toContain('webhooks.yaml is gone');
    expect((await serving.post('ci', { image: 'a.example/else:1' })).status).toBe(200);

    place.write('webhooks.yaml', 'ci: { dialect: plain, token: short, allow: [a.example] }\n');
    process.kill(serving.pid, 'SIGHUP');
    await expect.poll(() => serving.log(), { timeout: 30_000 }).toContain('the old settings stay: webhooks.yaml');
    expect((await place.run(['serve', '--check'])).code).toBe(2);
    expect((await serving.post('ci', { image: 'a.example/else:1' })).status).toBe(200);

    place.write('webhooks.yaml', `new: { dialect: plain, token: ${urlToken}, allow: [a.example] }\n`);
    process.kill(serving.pid, 'SIGHUP');
    await expect.poll(() => serving.log(), { timeout: 30_000 }).toContain('read the files again: 1 rule, 1 sender');
    expect((await serving.post('ci', { image: 'a.example/else:1' })).status).toBe(404);
    expect((await serving.post('new', { image: 'a.example/else:1' })).status).toBe(200);
    expect((await serving.kill('SIGTERM')).code).toBe(0);
    place.remove();
  });

  it('are read again where SIGHUP comes while they are read for the first time', async () => {
    const place = openWorkplace();
    const rules = `${place.directory}/images.yaml`;
    execFileSync('mkfifo', [rules]);
    place.write('webhooks.yaml', `ci: { dialect: plain, token: ${urlToken}, allow: [a.example] }\n`);
    const { child, ended } = place.start(['serve', '--listen', '127.0.0.1:0', '--images', rules]);
    let log = '';
    child.stderr?.on('data', (text: string) => {
      log += text;
    });
    // The pipe is open when the other side reads it.
    const pipe = await open(rules, 'w');
    child.kill('SIGHUP');
    rmSync(rules);
    place.write('images.yaml', 'a.example/app: b.example/app\na.example/more: b.example/more\n');
    await pipe.writeFile('a.example/app: b.example/app\n');
    await pipe.close();
    await expect.poll(() => log, { timeout: 30_000 }).toContain('read the files again: 2 rules');
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
    place.remove();
  });
});

describe('tranship webhooks', () => {
  it('prints what to paste where, with the token of the URL and no other secret', async () => {
    const place = openWorkplace();
    place.write(
      'webhooks.yaml',
      `cncf: { dialect: distribution, token: $TOKEN, allow: [registry.example.com] }
github: { dialect: ghcr, hmac: $SECRET, allow: [ghcr.io/acme] }
`,
    );
    const env = { TOKEN: urlToken, SECRET: secret };
    const { code, stdout } = await place.run(['webhooks', '--base-url', 'https://hooks.example.com/'], env);
    expect(code).toBe(0);
    expect(stdout).toContain(`url: https://hooks.example.com/hooks/cncf/${urlToken}\n`);
    expect(stdout).toContain('URL: https://hooks.example.com/hooks/github\n');
    expect(stdout).not.toContain(secret);
    place.remove();
  });
});
