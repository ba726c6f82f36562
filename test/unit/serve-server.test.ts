import { request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { readAddress } from '../../cli/args/flags.ts';
import type { Sender } from '../../core/announce/sender.ts';
import { TranshipError } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import { loadRules } from '../../core/rules/load-rules.ts';
import { listen } from '../../machine/serve/listener.ts';
import { groupSchedules } from '../../machine/serve/schedules.ts';
import {
  type ServeConfig,
  type Server,
  type ServerEvent,
  type ServerSettings,
  startServer,
} from '../../machine/serve/server.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { senderOf, urlToken } from '../support/announce.ts';
import { openWorkplace, type Workplace } from '../support/command.ts';
import { pushArtifact, pushCosignSignature } from '../support/images.ts';

const bound = { timeout: 30_000 };
let source: EmbeddedRegistry;
let destination: EmbeddedRegistry;
let place: Workplace;
let server: Server | undefined;
let events: ServerEvent[];

beforeAll(async () => {
  [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
  await pushImage({ url: source.url, repository: 'team/app' }, { seed: 'one', tag: '1.0' });
});
afterAll(() => Promise.all([source.close(), destination.close()]));
beforeEach(() => {
  place = openWorkplace();
  events = [];
});
afterEach(async () => {
  vi.restoreAllMocks();
  server?.stop();
  await server?.ended.catch(() => {});
  server = undefined;
  place.remove();
});

const rulesFor = (to: string): Rule[] =>
  loadRules(`${source.host}/team/app: ${destination.host}/${to}\n`, { file: 'images.yaml', env: {} }).rules;
const script = (): Sender => senderOf('plain', { name: 'ci', allow: [source.host] });

function configOf(to: string, change: Partial<ServeConfig> & { cron?: string } = {}): ServeConfig {
  const rules = rulesFor(to);
  const { cron, ...more } = change;
  return {
    rules,
    senders: new Map([['ci', script()]]),
    scheduled: groupSchedules(rules, {}, cron === undefined ? undefined : { cron, jitterMs: 0 }),
    credentials: { lookup: async () => ({ insecure: true }) },
    notify: [],
    ...more,
  };
}

/** Starts a server and waits until it listens. */
async function start(config: ServeConfig, change: Partial<ServerSettings> = {}) {
  const started = startServer(
    {
      version: '1.2.3',
      directory: `${place.directory}/state`,
      copying: { userAgent: 'tranship/test', allowedRealms: [], blobsAtOnce: 5, workers: 1 },
      limits: { proc: 5, retries: 0, maxWaitMs: 1000 },
      listen: { host: '127.0.0.1', port: 0 },
      gatherMs: 50,
      maxQueue: 100,
      redriveAfterMs: 0,
      config,
      readConfig: async () => config,
      ...change,
    },
    (event) => events.push(event),
  );
  server = started;
  await Promise.race([started.ended, expect.poll(() => listening(), bound).toBeDefined()]);
  const { url = '', adminUrl = '' } = listening() ?? {};
  return {
    ...started,
    url,
    adminUrl,
    post: (image: string, sender = 'ci') =>
      fetch(`${url}/hooks/${sender}/${urlToken}`, { method: 'POST', body: JSON.stringify({ image }) }),
    metrics: async () => (await fetch(`${adminUrl === '' ? url : adminUrl}/metrics`)).text(),
  };
}

const listening = () => events.find((event) => event.type === 'listening');
const runs = () => events.flatMap((event) => (event.type === 'run-ended' ? [event.run] : []));
const copied = (to: string) => (destination.content.has(to) ? destination.content.tags(to) : []);

describe('at the start', () => {
  it('what a sender may have announced while nobody listened is caught up, where it sends an event once', async () => {
    const zot = senderOf('zot', { allow: [source.host], registry: source.host });
    await start(configOf('caught/up', { senders: new Map([['zot', zot]]) }));
    await expect.poll(() => copied('caught/up'), bound).toEqual(['1.0']);
    await expect.poll(() => runs().map(({ trigger }) => trigger), bound).toContain('start');
  });

  it.each([
    ['it was told not to', false, senderOf('zot')],
    ['its senders repeat what was not taken', undefined, script],
  ])('nothing is caught up where %s', async (_, syncAtStart, sender) => {
    const one = typeof sender === 'function' ? sender() : { ...sender, allow: [source.host], registry: source.host };
    const { post } = await start(
      configOf('not/caught', {
        senders: new Map([
          ['ci', script()],
          ['other', one],
        ]),
      }),
      {
        syncAtStart,
      },
    );
    // What is announced afterwards is copied first: a catch-up would have begun before.
    destination.requests.length = 0;
    await post(`${source.host}/team/app:1.0`);
    await expect.poll(() => copied('not/caught'), bound).toEqual(['1.0']);
    expect(destination.requests.some(({ path }) => path.includes('tags/list'))).toBe(false);
  });

  it('all rules are caught up where it was told to', async () => {
    await start(configOf('told/to'), { syncAtStart: true });
    await expect.poll(() => copied('told/to'), bound).toEqual(['1.0']);
  });

  it('a port that is taken is no wrong setting: the next start may find it free', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const failure = start(configOf('x/y'), { listen: { host: '127.0.0.1', port } });
    await expect(failure).rejects.toMatchObject({ class: 'permanent', code: 'network' });
    other.close();
  });

  it('all addresses of the machine are listened on where no host is given', async () => {
    const { url } = await start(configOf('x/y'), { listen: readAddress(':0') });
    const { port } = new URL(url);
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });
});

it('tells of what was copied while it stopped, and ends its run', async () => {
  const credentials = {
    async lookup() {
      server?.stop();
      return { insecure: true };
    },
  };
  const { post, ended } = await start(configOf('stopped/to', { credentials }));
  await post(`${source.host}/team/app:1.0`);
  await ended;
  const results = events.flatMap((event) =>
    event.type === 'pipeline' && event.event.type === 'task-finished'
      ? event.event.outcomes.map(({ result }) => result)
      : [],
  );
  expect(results).toEqual(['copied']);
  expect(events.filter(({ type }) => type === 'run-ended')).toHaveLength(1);
});

it('runs rules apart whose schedules differ in their jitter alone', async () => {
  const rules = loadRules(
    `version: 1
rules:
  - { name: plain, from: "${source.host}/team/app", to: "${destination.host}/jitter/none" }
  - { name: late, from: "${source.host}/team/app", to: "${destination.host}/jitter/some" }
`,
    { file: 'tranship.yaml', env: {} },
  ).rules;
  const own = { late: { cron: '* * * * * *', jitterMs: 1 } };
  await start(configOf('x/y', { rules, scheduled: groupSchedules(rules, own, { cron: '* * * * * *', jitterMs: 0 }) }));
  await expect.poll(() => [copied('jitter/none'), copied('jitter/some')], bound).toEqual([['1.0'], ['1.0']]);
  const triggers = () => new Set(runs().map(({ trigger }) => trigger));
  await expect.poll(triggers, bound).toEqual(new Set(['schedule * * * * * *', 'schedule * * * * * * jitter 0.001s']));
});

describe('reading the files again', () => {
  it('changes rules, senders and schedules of a server that runs', async () => {
    let next = configOf('before/reload');
    const { post, reload, metrics } = await start(next, { readConfig: async () => next });
    await post(`${source.host}/team/app:1.0`);
    await expect.poll(() => copied('before/reload'), bound).toEqual(['1.0']);
    const added = senderOf('plain', { name: 'added', allow: [source.host] });
    next = configOf('after/reload', { senders: new Map([['added', added]]), cron: '0 3 * * *' });
    await reload();
    expect((await post(`${source.host}/team/app:1.0`)).status).toBe(404);
    expect(await (await post(`${source.host}/team/app:1.0`, 'added')).json()).toMatchObject({ accepted: 1 });
    await expect.poll(() => copied('after/reload'), bound).toEqual(['1.0']);
    expect(await metrics()).toContain('tranship_next_run_timestamp_seconds{trigger="schedule 0 3 * * *"}');
  });

  it('has a start that waits for its jitter run the rules as they are by then', async () => {
    const rulesNamed = (name: string) =>
      loadRules(
        `version: 1
rules:
  - { name: ${name}, from: "${source.host}/team/app", to: "${destination.host}/${name}/app" }
`,
        { file: 'tranship.yaml', env: {} },
      ).rules;
    const configNamed = (name: string) => {
      const rules = rulesNamed(name);
      return configOf('x/y', { rules, scheduled: groupSchedules(rules, {}, { cron: '* * * * * *', jitterMs: 3000 }) });
    };
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    const { reload } = await start(configNamed('old'), { readConfig: async () => configNamed('new') });
    // Another start came while one waits.
    const warnings = () =>
      events.flatMap((event) =>
        event.type === 'pipeline' && event.event.type === 'warning' ? [event.event.message] : [],
      );
    await expect.poll(() => warnings().join(), bound).toContain('a start was left out');
    await reload();
    await expect.poll(() => runs().length, bound).toBeGreaterThan(0);
    expect(runs()[0]).toMatchObject({ state: 'done', counts: { copied: 1 }, ruleFailures: [] });
    expect([copied('old/app'), copied('new/app')]).toEqual([[], ['1.0']]);
  });

  it('keeps the old ones where the new ones are wrong, and says so; over HTTP at the admin address alone', async () => {
    const wrong = new TranshipError('tranship.yaml:3: no such key', { class: 'configuration', code: 'config-invalid' });
    const { url, adminUrl, post } = await start(configOf('kept/app'), {
      readConfig: () => Promise.reject(wrong),
      adminListen: { host: '127.0.0.1', port: 0 },
    });
    const answer = await fetch(`${adminUrl}/-/reload`, { method: 'POST' });
    expect([answer.status, await answer.text()]).toEqual([422, expect.stringContaining('tranship.yaml:3')]);
    expect(events).toContainEqual({ type: 'reload-failed', error: wrong });
    expect((await fetch(`${url}/-/reload`, { method: 'POST' })).status).toBe(404);
    await post(`${source.host}/team/app:1.0`);
    await expect.poll(() => copied('kept/app'), bound).toEqual(['1.0']);
  });
});

it('answers for health and metrics at the admin address alone, where there is one', async () => {
  const { url, adminUrl } = await start(configOf('x/y'), { adminListen: { host: '127.0.0.1', port: 0 } });
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    expect((await fetch(`${url}${path}`)).status).toBe(404);
    expect((await fetch(`${adminUrl}${path}`)).status).toBe(200);
  }
});

it('counts outcomes by registry, tells its version, and when a run last succeeded before it started', async () => {
  await start(configOf('counted/app'), { syncAtStart: true });
  await expect.poll(() => runs(), bound).toHaveLength(1);
  const [{ endedAt = 0 } = {}] = runs();
  server?.stop();
  await server?.ended;
  events = [];
  const { metrics, post } = await start(configOf('counted/app'));
  const text = await metrics();
  expect(text).toContain(`tranship_last_success_timestamp_seconds{trigger="start"} ${endedAt / 1000}`);
  expect(text).toMatch(/^tranship_build_info\{version="1.2.3",node="/m);
  await post(`${source.host}/team/app:1.0@${source.content.manifest('team/app', '1.0')?.digest}`);
  const registries = `source_registry="${source.host}",destination_registry="${destination.host}"`;
  await expect.poll(metrics, bound).toContain(`result="unchanged",${registries}} 1`);
});

it('does not wait for the clock to catch up after it was set back', async () => {
  const RealDate = globalThis.Date;
  let aheadMs = 3_600_000;
  class AheadDate extends RealDate {
    constructor(...given: [] | [number]) {
      super(...((given.length === 0 ? [RealDate.now() + aheadMs] : given) as [number]));
    }
    static override now(): number {
      return RealDate.now() + aheadMs;
    }
  }
  globalThis.Date = AheadDate as DateConstructor;
  try {
    const { post } = await start(configOf('clock/app', { cron: '* * * * * *' }));
    await expect.poll(() => runs().length, bound).toBeGreaterThan(0);
    aheadMs = 0;
    await expect
      .poll(() => events, bound)
      .toContainEqual({
        type: 'pipeline',
        event: { type: 'warning', message: expect.stringContaining('the clock was set back by 3600 s') },
      });
    const before = runs().length;
    await expect.poll(() => runs().length, bound).toBeGreaterThan(before);
    await pushImage({ url: source.url, repository: 'team/app' }, { seed: 'two', tag: 'after' });
    await post(`${source.host}/team/app:after`);
    await expect.poll(() => copied('clock/app'), bound).toContain('after');
  } finally {
    globalThis.Date = RealDate;
  }
});

it.each([
  ['the whole URL, as proxies may ask', 'http://hooks.example.com/hooks/ci/'],
  ['a slash too many, from a base URL that ends with one', '//hooks/ci/'],
])('takes an event by %s', async (_, path) => {
  const { url } = await start(configOf('x/y'));
  const body = JSON.stringify({ image: `${source.host}/team/app:1.0` });
  const { port } = new URL(url);
  const status = await new Promise((resolve, reject) => {
    request({ port, method: 'POST', path: `${path}${urlToken}` }, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end(body);
  });
  expect(status).toBe(200);
});

describe('slow clients', () => {
  it('make room for others when they hold all connections, and are not held for long', async () => {
    const listener = await listen(
      { host: '127.0.0.1', port: 0 },
      async (_request, response) => {
        response.end('ok');
      },
      { maxConnections: 20 },
    );
    const { port } = new URL(listener.url);
    const slow: Socket[] = [];
    const closed = new Set<Socket>();
    for (let at = 0; at < 40; at++) {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write('POST / HTTP/1.1\r\nhost: x\r\n'));
      socket
        .resume()
        .on('error', () => {})
        .on('close', () => closed.add(socket));
      slow.push(socket);
    }
    await expect.poll(() => closed.size, bound).toBeGreaterThanOrEqual(20);
    expect(await (await fetch(listener.url)).text()).toBe('ok');
    await expect.poll(() => closed.size, bound).toBe(40);
    await listener.close();
  });
});

describe('a signature', () => {
  it('that is announced by its tag, or by its digest alone, is brought to its image', async () => {
    const at = { url: source.url, repository: 'team/app' };
    const image = await pushImage(at, { seed: 'signed', tag: 'signed' });
    const { post } = await start(configOf('announced/signature'), { syncAtStart: false });
    await post(`${source.host}/team/app:signed`);
    await expect.poll(() => copied('announced/signature'), bound).toEqual(['signed']);
    const beside = await pushCosignSignature(at, image);
    const tag = `${image.digest.replace(':', '-')}.sig`;
    await post(`${source.host}/team/app:${tag}`);
    await expect.poll(() => copied('announced/signature'), bound).toEqual([tag, 'signed']);
    expect(destination.content.manifest('announced/signature', tag)?.digest).toBe(beside.digest);
    const bundle = 'application/vnd.dev.sigstore.bundle.v0.3+json';
    const { digest } = await pushArtifact(at, { artifactType: bundle, seed: 'bundle', subject: image });
    await post(`${source.host}/team/app@${digest}`);
    await expect
      .poll(() => destination.content.manifest('announced/signature', digest) !== undefined, bound)
      .toBe(true);
  });
});
