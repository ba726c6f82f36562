import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OCI_INDEX, OCI_MANIFEST } from '../../core/model/media-types.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { type Ended, jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import {
  endlessTags,
  type Fault,
  foreignRealm,
  hugeManifest,
  mountRefused,
  patchRefused,
  serverError,
  throttled,
  unauthorized,
  wrongContentType,
} from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';

const blobRead = { method: 'GET', path: /\/blobs\/sha256:/ };
const largeLayer = 600_000;

/** A fault of logins, not of one image. */
const isForAll = ({ fault }: { fault: Fault }) => fault.when === undefined;
/** The fault for requests of one repository only. */
const within = (repository: string, { when, effect }: Fault): Fault => ({
  when: { ...when, path: new RegExp(`/${repository}.*${when?.path?.source ?? ''}`) },
  effect,
});

describe('registries that misbehave', () => {
  let behind: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let elsewhere: FaultyRegistry;
  let source: FaultyRegistry;
  let front: FaultyRegistry;
  let tired: FaultyRegistry;
  /** A command that waits for most of its time: begun before the other tests. */
  let waiting: Promise<Ended>;
  let place: Workplace;
  let counter = 0;
  let repository = '';

  beforeAll(async () => {
    [behind, destination] = await Promise.all([startRegistry(), startRegistry()]);
    source = await startFaultyRegistry({ upstream: behind.url });
    front = await startFaultyRegistry({ upstream: destination.url });
    elsewhere = await startFaultyRegistry({ upstream: behind.url, faults: [{ effect: unauthorized() }] });
    place = openWorkplace();
    place.write(
      'auth.yaml',
      `${source.host}: { insecure: true, username: reader, password: hunter2 }\n${front.host}: { insecure: true }\n`,
    );
    const throttledLists = { when: { path: /tags\/list/ }, effect: throttled(6) };
    tired = await startFaultyRegistry({ upstream: behind.url, faults: [throttledLists] });
    place.write('tired.yaml', `${tired.host}/team/app: ${front.host}/mirror/tired\n`);
    place.write('tired-auth.yaml', `${tired.host}: { insecure: true }\n${front.host}: { insecure: true }\n`);
    const files = ['--images', 'tired.yaml', '--auth', 'tired-auth.yaml', '--state', 'tired'];
    waiting = place.run(['sync', '--json', '--max-wait', '7s', ...files]);
  });
  afterAll(async () => {
    await waiting;
    place.remove();
    await Promise.all([source, front, tired, elsewhere, behind, destination].map((one) => one.close()));
  });
  beforeEach(async () => {
    // Bytes of its own for each test: what the destination has already would be mounted, and not read.
    counter += 1;
    repository = `mirror/app${counter}`;
    await pushImage(
      { url: behind.url, repository: 'team/app' },
      { seed: `app ${counter}`, tag: 'v1', layers: [{ seed: `large ${counter}`, bytes: largeLayer }] },
    );
    for (const registry of [source, front]) {
      registry.setFaults([]);
      registry.requests.length = 0;
    }
    elsewhere.requests.length = 0;
  });

  async function sync(rule = 'team/app:v1', flags = ['--retries', '0']) {
    const { outcomes, ...ended } = await syncAll([[rule, repository]], flags);
    return { ...ended, outcome: outcomes.at(-1) };
  }

  async function syncAll(rules: [from: string, to: string][], flags = ['--retries', '0']) {
    const lines = rules.map(([from, to]) => `${source.host}/${from}: ${front.host}/${to}\n`);
    place.write('images.yaml', lines.join(''));
    const ended = await place.run(['sync', '--json', ...flags]);
    const documents = jsonLines(ended.stdout);
    return { ...ended, outcomes: documents.filter(({ type }) => type === 'outcome'), run: documents.at(-1) };
  }

  const wrong: Array<[what: string, code: string, fault: Fault]> = [
    ['a blob with another byte', 'digest-mismatch', { when: blobRead, effect: { kind: 'flip', offset: 5 } }],
    ['a blob that is longer', 'size-mismatch', { when: blobRead, effect: { kind: 'resize', bytes: 10 } }],
    ['a blob that is shorter', 'size-mismatch', { when: blobRead, effect: { kind: 'resize', bytes: -10 } }],
    ['a manifest over 4 MiB', 'limit-exceeded', hugeManifest(OCI_INDEX)],
    ['another Content-Type than mediaType', 'bad-manifest', wrongContentType(OCI_INDEX)],
    [
      'a manifest with another byte',
      'digest-mismatch',
      { when: { method: 'GET', path: /\/manifests\// }, effect: { kind: 'flip', offset: 40 } },
    ],
    [
      'a digest that is a path',
      'bad-manifest',
      {
        when: { path: /\/manifests\// },
        effect: {
          kind: 'answer',
          status: 200,
          headers: { 'Content-Type': OCI_MANIFEST },
          body: '{"config":{"mediaType":"a/b","size":1,"digest":"../../../token"},"layers":[]}',
        },
      },
    ],
    [
      'a manifest that breaks off',
      'network',
      { when: { method: 'GET', path: /\/manifests\// }, effect: { kind: 'cut', afterBytes: 40 } },
    ],
    ['a blob that breaks off', 'network', { when: blobRead, effect: { kind: 'cut', afterBytes: 0 } }],
    ['401 for ever', 'unauthorized', { effect: unauthorized() }],
    ['a realm on another host', 'unsafe', { effect: foreignRealm('https://collector.example/token') }],
  ];
  it('nothing is recorded and no tag is left, whatever is wrong', async () => {
    // A source repository for each, so that the waits before their next tries are all at once. What a registry says of
    // logins holds for all its repositories: those cases come alone.
    const cases = wrong.map(([what, code, fault], n) => ({ what, code, fault, name: `case${n}/app` }));
    const rules = (list: typeof cases) => list.map(({ name }): [string, string] => [`${name}:v1`, name]);
    for (const { name, what } of cases) {
      const layers = [{ seed: `layer of ${what}`, bytes: largeLayer }];
      await pushImage({ url: behind.url, repository: name }, { seed: what, tag: 'v1', layers });
    }
    const [alone, together] = [cases.filter(isForAll), cases.filter((one) => !isForAll(one))];
    for (const list of [together, ...alone.map((one) => [one])]) {
      source.setFaults(list.map(({ name, fault }) => within(name, fault)));
      const { code: exit, outcomes } = await syncAll(rules(list));
      for (const { what, code, name } of list) {
        const outcome = outcomes.find(({ destination: to }) => String(to).includes(`/${name}:`));
        expect([what, outcome]).toMatchObject([
          what,
          {
            result: 'failed',
            failure: { code, registry: source.host, operation: expect.stringMatching(/^\w+ \w+/) },
          },
        ]);
        expect(destination.content.has(name) ? destination.content.tags(name) : []).toEqual([]);
      }
      expect(exit).toBe(1);
    }
    source.setFaults([]);
    const { run } = await syncAll(rules(cases));
    expect(run).toMatchObject({ copied: cases.length, unchanged: 0 });
  });

  it('tells where a login must not go, and sends it nowhere', async () => {
    source.setFaults([{ effect: foreignRealm(`http://localhost.example:${new URL(elsewhere.url).port}/token`) }]);
    const { outcome } = await sync();
    expect(JSON.stringify(outcome)).toContain('localhost.example');
    expect(elsewhere.requests).toEqual([]);
  });

  it('sends no login to where a redirect leads, though it asks for one', async () => {
    const to = (url: string) => `${elsewhere.url}${url}`;
    source.setFaults([{ when: blobRead, effect: { kind: 'redirect', to } }]);
    const { outcome, stdout, stderr } = await sync();
    expect(outcome).toMatchObject({ result: 'failed' });
    expect(elsewhere.requests.length).toBeGreaterThan(0);
    expect(elsewhere.requests.map(({ headers }) => headers.authorization)).toEqual(
      elsewhere.requests.map(() => undefined),
    );
    expect(stdout + stderr).not.toContain('hunter2');
  });

  it('ends a tag list that never ends', async () => {
    source.setFaults([endlessTags('team/app')]);
    const { code, run } = await sync('team/app');
    expect(code).toBe(1);
    expect(run).toMatchObject({ ruleFailures: [{ failure: { class: 'permanent' } }] });
  });

  it('goes on by Range where a layer breaks off', async () => {
    const cut = { ...blobRead, hit: { from: 1, to: 2 } };
    source.setFaults([{ when: cut, effect: { kind: 'cut', afterBytes: 200_000 } }]);
    const { code } = await sync();
    expect(code).toBe(0);
    const ranges = source.find('GET', blobRead.path).map(({ headers }) => headers.range);
    expect(ranges.some((range) => /^bytes=[1-9]\d*-$/.test(range ?? ''))).toBe(true);
  });

  it('sends a layer again whose upload broke off', async () => {
    front.setFaults([
      { when: { method: 'PUT', path: /uploads/, hit: 1 }, effect: { kind: 'cut-request', afterBytes: 1000 } },
    ]);
    expect((await sync()).code).toBe(0);
    expect(destination.content.tags(repository)).toEqual(['v1']);
  });

  it('uploads with the PUT where PATCH is refused, and without mounts where they are', async () => {
    front.setFaults([patchRefused, mountRefused]);
    expect((await sync()).code).toBe(0);
    expect(front.find('PUT', /digest=/).some(({ requestBytes }) => requestBytes > largeLayer)).toBe(true);
  });

  it('outlives one request in ten failing', async () => {
    const some = { probability: 0.1 };
    source.setFaults([{ when: some, effect: serverError() }]);
    front.setFaults([{ when: some, effect: { kind: 'cut', afterBytes: 0 } }]);
    const { code, run } = await sync('team/app:v1', ['--retries', '3']);
    expect(run).toMatchObject({ copied: 1, failed: 0 });
    expect(code).toBe(0);
  });

  it('gives up on a registry that wants to be left alone longer than --max-wait', async () => {
    source.setFaults([{ when: { path: /manifests/ }, effect: throttled(3600) }]);
    const { code, run } = await sync('team/app:v1', ['--max-wait', '2s', '--state', 'hasty']);
    expect(code).toBe(1);
    expect(run).toMatchObject({ planned: 1, copied: 0, deferred: 1 });
  });

  it('does not wait for ever where a tag list is throttled again and again', async () => {
    const { code, stdout } = await waiting;
    expect(code).toBe(1);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ ruleFailures: [{ failure: { class: 'throttled' } }] });
    expect(tired.find('GET', /tags\/list/).length).toBeGreaterThan(1);
  });

  it('says how long it waits', async () => {
    source.setFaults([{ when: { path: /manifests/ }, effect: throttled(3600) }]);
    place.write('images.yaml', `${source.host}/team/app:v1: ${front.host}/${repository}\n`);
    const { child, ended } = place.start(['sync', '--state', 'patient']);
    const told = await new Promise<string>((resolve) => {
      let text = '';
      child.stderr?.on('data', (chunk: string) => {
        text += chunk;
        if (/parked|wait/i.test(text)) resolve(text);
      });
      void ended.then(() => resolve(text));
    });
    child.kill('SIGTERM');
    expect(told).toMatch(/1 ?h|60 ?min|59 ?min/);
    expect((await ended).code).toBe(143);
  });

  it('takes a manifest whose type only its body tells', async () => {
    source.setFaults([wrongContentType('application/json')]);
    expect((await sync()).code).toBe(0);
    expect(destination.content.manifest(repository, 'v1')?.mediaType).toBe(OCI_MANIFEST);
  });
});
