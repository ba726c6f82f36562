import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Failure } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import { openState } from '../../machine/state/state.ts';
import { openOwnHost, serveStatusPage, type UiServer } from '../../machine/ui/ui-server.ts';
import { openWorkplace } from '../support/command.ts';
import { startServe } from '../support/serve.ts';
import { ask, builtPage, type RawAnswer } from '../support/ui.ts';

const token = 'a token of some length';
const nasty = '<img src=x onerror=alert(1)>';
const target = { registry: 'mirror.example', repository: 'app' };
const failure: Failure = { class: 'permanent', code: 'denied', message: nasty, registry: 'mirror.example' };
const rule: Rule = {
  id: nasty,
  from: { registry: 'source.example', repository: 'app' },
  select: { kind: 'all' },
  to: [target],
  platforms: { platforms: [], os: [], arch: [] },
};

describe('the server of the status page', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tranship-ui-'));
  let own: ReturnType<typeof openOwnHost>;
  let server: UiServer;
  let cookie = '';

  beforeAll(async () => {
    const { ledger, close } = openState(directory);
    await ledger.startRun({ id: 'run-1', trigger: 'tranship.yaml', startedAt: Date.now() });
    await ledger.recordPage({ runId: 'run-1', ruleId: rule.id, after: '', planned: 3, unchanged: 1 });
    const source = { ...rule.from, tag: '1' };
    const tried = { runId: 'run-1', ruleId: rule.id, source, mounted: 0, present: 0, at: 5 };
    const bad = { ...tried, destination: { ...target, tag: '1' }, result: 'failed' as const, bytes: 0, failure };
    await ledger.recordOutcome(bad);
    await ledger.recordOutcome({ ...tried, destination: { ...target, tag: '2' }, result: 'copied', bytes: 7 });
    for (const tag of ['2', '3']) {
      const digests = { sourceDigest: `sha256:${tag.repeat(64)}`, destinationDigest: `sha256:${tag.repeat(64)}` };
      await ledger.write({ source, destination: { ...target, tag }, ...digests, platforms: '', at: 9, how: 'copied' });
    }
    await ledger.endRun('run-1', 'done', Date.now());
    close();
    own = openOwnHost({
      version: '0',
      directory,
      copying: { userAgent: 'test', allowedRealms: [], blobsAtOnce: 1, workers: 1 },
      credentials: { lookup: async () => undefined },
      limits: { proc: 1, retries: 0, maxWaitMs: 0 },
      rules: [rule],
      whyNoRules: undefined,
      emit: () => {},
    });
    server = await serveStatusPage({
      host: own.host,
      token,
      hostNames: ['Ops.example:8443', 'proxied.example'],
      directory: builtPage,
      port: 0,
    });
    cookie = String((await post('login', { token })).headers['set-cookie']).split(';', 1)[0] ?? '';
  });
  afterAll(async () => {
    await server?.close();
    await own?.close();
    rmSync(directory, { recursive: true });
  });

  const fromPage = { 'x-tranship': '1' };
  const get = (path: string, headers: Record<string, string> = { cookie }) =>
    ask(`${server.url}/ui/${path}`, { headers });
  const post = (name: string, body: unknown, headers: Record<string, string> = {}) =>
    ask(`${server.url}/ui/api/${name}`, { method: 'POST', headers: { ...fromPage, ...headers }, body });

  it('lets nobody see or do anything without a login', async () => {
    for (const name of ['overview', 'rules', 'tags?repository=a.example/b', 'live', 'pushes', 'nothing']) {
      expect([name, (await get(`api/${name}`, {})).status]).toEqual([name, 401]);
      expect((await get(`api/${name}`, { cookie: `${cookie.slice(0, -1)}_` })).status).toBe(401);
    }
    for (const name of ['redrive', 'sync', 'logout']) expect((await post(name, {})).status).toBe(401);
    expect((await post('login', { token: `${token}!` })).status).toBe(401);
    expect((await post('login', 'no json')).status).toBe(401);
    expect((await post('login', { token: ['a'] })).status).toBe(401);
  });

  it('does nothing for a request that another page can have a browser send', async () => {
    const forged: Array<Record<string, string>> = [
      { cookie, 'x-tranship': '' },
      { cookie, origin: 'https://evil.example' },
      { cookie, 'sec-fetch-site': 'cross-site' },
      { cookie, 'sec-fetch-site': 'same-site' },
      { cookie, origin: 'null' },
      { cookie, origin: 'http://localhost:1', host: `localhost:${new URL(server.url).port}` },
      { cookie, origin: 'https://evil.example:8443', host: 'proxied.example' },
      { cookie, origin: 'https://proxied.example.evil.example', host: 'proxied.example' },
      { cookie, origin: 'https://evil.example@proxied.example', host: 'proxied.example' },
    ];
    for (const headers of forged) {
      for (const name of ['redrive', 'sync', 'login', 'logout']) {
        expect([headers, name, (await post(name, {}, headers)).status]).toEqual([headers, name, 403]);
      }
    }
    expect((await get('api/redrive')).status).toBe(404);
    expect((await ask(`${server.url}/ui/api/redrive`, { method: 'PUT', headers: { cookie } })).status).toBe(405);
    expect((await get('api/overview', { cookie })).headers['access-control-allow-origin']).toBeUndefined();
  });

  it.each([
    ['https://proxied.example', 'proxied.example'],
    ['https://proxied.example:8443', 'proxied.example:8443'],
    // nginx's $host
    ['https://proxied.example:8443', 'proxied.example'],
    ['https://Proxied.example', 'proxied.example'],
  ])('takes requests of the page at %s that a proxy passes on to %s', async (origin, host) => {
    const headers = { host, origin, 'sec-fetch-site': 'same-origin' };
    expect((await post('login', { token }, headers)).status).toBe(200);
  });

  it('is not asked by a name that is not its own, whatever that resolves to', async () => {
    const { port } = new URL(server.url);
    const statuses = async (host: string) =>
      [(await get('', { host })).status, (await get('api/overview', { host, cookie })).status].join(' ');
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', 'localhost.evil.example']) {
      expect([host, await statuses(host)]).toEqual([host, '421 421']);
    }
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, '[::1]', 'OPS.example', 'ops.example:8443']) {
      expect([host, await statuses(host)]).toEqual([host, '200 200']);
    }
  });

  it('forbids frames, scripts and requests of others, caches, and guesses at types, in every response', async () => {
    const responses: RawAnswer[] = [
      await get('', {}),
      await get('app.js', {}),
      await get('api/overview'),
      await get('api/overview', {}),
      await get('no-such-file', {}),
      await get('', { host: 'evil.example' }),
      await ask(`${server.url}/`),
    ];
    for (const { headers } of responses) {
      const policy = String(headers['content-security-policy']);
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toContain("script-src 'self';");
      expect(policy).not.toMatch(/unsafe|\*|https?:/);
      expect(headers).toMatchObject({
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
      });
    }
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 401, 404, 421, 302]);
    expect((await get('api/overview')).headers['cache-control']).toBe('no-store');
    // Only what everybody may see is kept, and asked for again each time.
    const page = await get('', {});
    expect(page.headers['cache-control']).toBe('no-cache');
    expect((await get('', { 'if-none-match': String(page.headers.etag) })).status).toBe(304);
  });

  it('gives names and messages as data, and the page has no script within', async () => {
    const { text, headers } = await get('api/causes');
    expect(headers['content-type']).toBe('application/json');
    expect(JSON.parse(text)).toMatchObject({ causes: [{ messages: [{ text: nasty, count: 1 }] }] });
    const page = await get('', {});
    expect(page.text).not.toMatch(/<script(?![^>]* src=)|<style|\son\w+=|https?:\/\//);
  });

  it('tells how everything stands', async () => {
    expect((await get('api/overview')).json()).toMatchObject({
      host: { kind: 'machine', name: directory },
      tags: { planned: 3, inStep: 2, failing: 1, inHand: 0 },
      runs: [{ id: 'run-1', counts: { bytes: 7 } }],
      history: [{ bytes: 7, copied: 1, failed: 1 }],
      nextRuns: null,
      actions: { redrive: true, sync: true },
    });
    expect((await get('api/rules')).json()).toMatchObject([
      { ruleId: nasty, inStep: 2, rule: { from: 'source.example/app', to: ['mirror.example/app'], tags: 'all tags' } },
    ]);
    expect((await get('api/repositories')).json()).toEqual({
      repositories: [{ name: 'mirror.example/app', failing: 1 }],
    });
    const tags = (query: string) => get(`api/tags?repository=mirror.example/app${query}`);
    expect((await tags('&limit=2')).json()).toMatchObject({
      rows: [
        { destination: 'mirror.example/app:1', state: 'failed', failure: { code: 'denied' } },
        { destination: 'mirror.example/app:2', state: 'in-step' },
      ],
      next: '2',
    });
    expect((await tags('&after=2')).json()).toMatchObject({ rows: [{ destination: 'mirror.example/app:3' }] });
    expect((await get('api/tag?destination=mirror.example/app:1')).json()).toMatchObject({
      state: 'failed',
      sourceDigest: null,
      failure: { code: 'denied', mend: expect.stringContaining('push at the destination') },
      history: [{ runId: 'run-1', result: 'failed' }],
    });
    expect((await get('api/run?id=run-1&results=copied')).json()).toMatchObject({
      run: { id: 'run-1' },
      rules: [{ planned: 3, failed: 1 }],
      outcomes: [{ destination: 'mirror.example/app:2' }],
    });
    expect((await get('api/registries')).json()).toMatchObject({
      registries: [
        { name: 'mirror.example', isDestination: true },
        { name: 'source.example', isSource: true },
      ],
    });
    expect((await get('api/pushes')).json()).toEqual({ events: [] });
  });

  it('refuses questions that make no sense, and says why', async () => {
    expect((await get('api/tags?repository=')).status).toBe(400);
    expect((await get(`api/tags?repository=${encodeURIComponent('../../etc')}`)).json()).toMatchObject({
      error: expect.stringContaining('is not a valid reference'),
    });
    expect((await get('api/run?id=none')).status).toBe(404);
    expect((await get('../state.db')).status).toBe(404);
    expect((await get('%2e%2e/index.html', {})).status).toBe(404);
    expect((await post('redrive', { code: 'nothing' }, { cookie })).status).toBe(400);
    expect((await post('redrive', { destinations: [] }, { cookie })).status).toBe(400);
    expect((await post('redrive', 'x'.repeat(100_000), { cookie })).status).toBe(400);
    // Nothing was left in the queue for a second chance.
    expect((await post('redrive', {}, { cookie })).json()).toEqual({ count: 0 });
  });

  it('takes no more than ten wrong tokens a minute from one address', async () => {
    let last = await post('login', { token: 'wrong' });
    for (let tries = 0; last.status === 401 && tries < 20; tries += 1) last = await post('login', { token: 'wrong' });
    expect([last.status, Number(last.headers['retry-after']) > 0]).toEqual([429, true]);
    // Behind a proxy they are one address with those who have the token.
    expect((await post('login', { token })).status).toBe(200);
    expect((await post('login', { token: 'wrong' })).status).toBe(429);
    expect((await get('api/overview')).status).toBe(200);
  });

  it('sends what changes, as events', async () => {
    const abort = new AbortController();
    const response = await fetch(`${server.url}/ui/api/live`, { headers: { cookie }, signal: abort.signal });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    let text = '';
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    while (!/^data: .*\n\n/m.test(text)) text += (await reader.read()).value ?? '';
    expect(JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? '')).toMatchObject({ tags: { failing: 1 } });
    abort.abort();
  });

  it('forgets who has logged out', async () => {
    expect((await post('logout', {}, { cookie })).status).toBe(200);
    expect((await get('api/overview')).status).toBe(401);
  });
});

describe('the status page of serve', () => {
  it('is at the admin address behind the token, with push events and schedules', async () => {
    const place = openWorkplace();
    place.write(
      'tranship.yaml',
      'version: 1\nschedule: "0 3 * * *"\nrules: [{ from: a.example/b, to: c.example/d }]\n',
    );
    place.write('webhooks.yaml', 'ci: { dialect: plain, token: $TOKEN, allow: [a.example] }\n');
    place.write('token', `${token}\n`);
    const urlToken = 'q8Qd0yq3bX7nT1cVfK2mZw';
    const args = ['--admin-listen', '127.0.0.1:0', '--ui-token-file', 'token', '--sync-at-start=false'];
    const serving = await startServe(place, args, { TOKEN: urlToken });
    try {
      const admin = /health and metrics on (http:\S+),/.exec(serving.log())?.[1] ?? '';
      const login = { method: 'POST', headers: { 'x-tranship': '1' }, body: { token } };
      const answer = await ask(`${admin}/ui/api/login`, login);
      const cookie = String(answer.headers['set-cookie']).split(';', 1)[0] ?? '';
      const view = async (name: string) => (await ask(`${admin}/ui/api/${name}`, { headers: { cookie } })).json();
      expect(await view('overview')).toMatchObject({ nextRuns: [{ trigger: 'schedule 0 3 * * *' }] });
      await serving.post('ci', { image: 'a.example/elsewhere:1' }, { token: urlToken });
      await expect
        .poll(() => view('pushes'))
        .toMatchObject({
          events: [
            { sender: 'ci', status: 200, result: 'unmatched', what: 'a.example/elsewhere:1', why: 'no rule takes it' },
          ],
        });
      expect((await ask(`${serving.url}/ui/`)).status).toBe(404);
      expect((await ask(`${admin}/healthz`)).status).toBe(200);
    } finally {
      const { stderr, stdout } = await serving.kill('SIGTERM');
      expect(stderr + stdout).not.toContain(token);
      place.remove();
    }
  });

  it('needs an address of its own and a token of some length', async () => {
    const place = openWorkplace();
    writeFileSync(join(place.directory, 'images.yaml'), 'a.example/b: c.example/d\n');
    place.write('token', 'short');
    place.write('good', token);
    const run = (...args: string[]) => place.run(['serve', '--check', '--schedule', '0 3 * * *', ...args]);
    expect(await run('--ui-token-file', 'good')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--admin-listen'),
    });
    expect(await run('--ui-token-file', 'token', '--admin-listen', ':0')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('fewer than 16 characters'),
    });
    place.remove();
  });
});
