import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { serverError, unauthorized } from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';

describe('the command between two registries', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let front: FaultyRegistry;
  let place: Workplace;
  const tags = ['1.0', '1.1', '1.2', '2.0'];

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    front = await startFaultyRegistry({ upstream: destination.url });
    const base = { seed: 'base', bytes: 50_000 };
    for (const tag of tags) {
      const layers = [base, { seed: tag, bytes: 5_000 }];
      await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag, layers });
    }
  });
  afterAll(async () => {
    await front.close();
    await Promise.all([source.close(), destination.close()]);
  });
  beforeEach(() => {
    place?.remove();
    place = openWorkplace([source.host, destination.host, front.host]);
    front.setFaults([]);
    for (const registry of [source, destination, front]) registry.requests.length = 0;
    for (const repository of destination.content.repositories()) {
      for (const { digest } of destination.content.manifests(repository)) {
        destination.content.deleteManifest(repository, digest);
      }
    }
    return () => place.remove();
  });

  const rule = (selection: string, to: string, at = destination.host) =>
    place.write('images.yaml', `${source.host}/team/app${selection}: ${at}/${to}\n`);
  const last = (text: string) => jsonLines(text).at(-1);

  describe('what an unchanged tag costs', () => {
    it('is one HEAD at the source and a share of a tag list at the destination', async () => {
      rule('', 'mirror/app');
      expect((await place.run(['sync'])).code).toBe(0);
      source.requests.length = 0;
      destination.requests.length = 0;
      const again = await place.run(['sync', '--json']);
      expect(last(again.stdout)).toMatchObject({ type: 'run', unchanged: tags.length, copied: 0 });
      expect(jsonLines(again.stdout).filter((line) => line.result === 'unchanged')).toHaveLength(tags.length);
      expect(source.count('head manifest')).toBe(tags.length);
      expect(source.count()).toBe(tags.length + source.count('ping', 'list tags'));
      expect(destination.count()).toBe(destination.count('ping', 'list tags'));
    });

    it('is nothing at the source for a digest, and one HEAD at the destination', async () => {
      const digest = source.content.manifest('team/app', '1.0')?.digest;
      rule(`@${digest}`, 'pinned/app');
      expect((await place.run(['sync'])).code).toBe(0);
      source.requests.length = 0;
      destination.requests.length = 0;
      expect(last((await place.run(['sync', '--json'])).stdout)).toMatchObject({ unchanged: 1 });
      expect([source.count(), destination.count('head manifest')]).toEqual([0, 1]);
    });

    it('is one HEAD, once, where somebody else brought the same image', async () => {
      rule('', 'mirror/app');
      await place.run(['sync']);
      destination.requests.length = 0;
      const fresh = ['sync', '--json', '--state', 'fresh'];
      expect(last((await place.run(fresh)).stdout)).toMatchObject({ unchanged: tags.length, copied: 0 });
      expect(destination.count('head manifest')).toBe(tags.length);
      expect(destination.count('put manifest', 'start upload')).toBe(0);
      destination.requests.length = 0;
      await place.run(fresh);
      expect(destination.count('head manifest')).toBe(0);
    });
  });

  it('copies a tag again that was deleted or moved at the destination', async () => {
    rule('', 'mirror/app');
    await place.run(['sync']);
    destination.content.deleteManifest('mirror/app', '1.0');
    expect(last((await place.run(['sync', '--json'])).stdout)).toMatchObject({ copied: 1, unchanged: tags.length - 1 });

    await pushImage({ url: destination.url, repository: 'mirror/app' }, { seed: 'intruder', tag: '1.1' });
    const verified = await place.run(['verify', '--json']);
    expect(verified.code).toBe(1);
    expect(last(verified.stdout)).toMatchObject({ type: 'verify', ok: tags.length - 1, differs: 1 });
    expect(last((await place.run(['sync', '--json'])).stdout)).toMatchObject({ copied: 1, unchanged: tags.length - 1 });
    expect((await place.run(['verify'])).code).toBe(0);
  });

  it('plans without writing anything anywhere', async () => {
    rule('', 'mirror/app');
    const plan = await place.run(['plan', '--json']);
    expect(plan.code).toBe(0);
    const rows = jsonLines(plan.stdout).filter((line) => line.type === 'tag');
    expect(rows.map((row) => row.state)).toEqual(tags.map(() => 'new'));
    expect(existsSync(`${place.directory}/state`)).toBe(false);
    const writes = [...source.requests, ...destination.requests].filter(({ method }) => !/GET|HEAD/.test(method));
    expect(writes).toEqual([]);
    await place.run(['sync']);
    const after = await place.run(['plan']);
    expect(after.stdout).toContain('0 tags to copy');
  });

  it('tries again what failed for the moment, and keeps what failed for good until it is redriven', async () => {
    rule(':1.0,1.1', 'mirror/app', front.host);
    front.setFaults([{ when: { method: 'PUT', path: /manifests\/1\.1/ }, effect: unauthorized() }]);
    const first = await place.run(['sync', '--json']);
    expect(first.code).toBe(1);
    expect(last(first.stdout)).toMatchObject({ copied: 1, failed: 1 });
    // A permanent failure is not tried in more rounds.
    expect(jsonLines(first.stdout).filter((line) => line.type === 'retry')).toEqual([]);

    const status = await place.run(['status']);
    expect(status.code).toBe(1);
    expect(status.stdout).toContain('unauthorized');
    expect((await place.run(['redrive', '--code', 'network'])).stdout).toContain('Nothing failed');
    expect((await place.run(['redrive', '--dry-run'])).stdout).toContain('/team/app:1.1');

    const still = await place.run(['redrive', '--json']);
    expect(last(still.stdout)).toMatchObject({ failed: 1, planned: 1 });
    front.setFaults([]);
    const redriven = await place.run(['redrive', '--json']);
    expect(redriven.code).toBe(0);
    expect(last(redriven.stdout)).toMatchObject({ copied: 1, failed: 0, planned: 1 });
    expect((await place.run(['redrive'])).stdout).toContain('Nothing failed');
  });

  it('begins retries when every tag had its first try', async () => {
    rule('', 'mirror/app', front.host);
    front.setFaults([
      { when: { method: 'PUT', path: /manifests\/1\.0/, hit: { from: 1, to: 4 } }, effect: serverError() },
    ]);
    const ended = await place.run(['sync', '--json', '--proc', '1', '--retries', '1']);
    expect(ended.code).toBe(0);
    const lines = jsonLines(ended.stdout);
    expect(lines.find((line) => line.type === 'retry')).toMatchObject({ source: `${source.host}/team/app:1.0` });
    const order = lines.filter((line) => line.type === 'outcome').map((line) => String(line.source).split(':').at(-1));
    expect(order.at(-1)).toBe('1.0');
  });

  it('goes on with the other rules where one cannot be expanded', async () => {
    place.write(
      'images.yaml',
      `${source.host}/team/nothing: ${destination.host}/mirror/nothing\n${source.host}/team/app:1.0: ${destination.host}/mirror/app\n`,
    );
    const ended = await place.run(['sync']);
    expect(ended.code).toBe(1);
    expect(ended.stdout).toContain('/team/nothing');
    expect(destination.content.tags('mirror/app')).toEqual(['1.0']);
  });

  it('stops at a signal without half a tag, and goes on where it was', async () => {
    const layers = Array.from({ length: 6 }, (_, n) => ({ seed: `big ${n}`, bytes: 2_000_000 }));
    await pushImage({ url: source.url, repository: 'big/app' }, { seed: 'big', tag: 'v1', layers });
    place.write('big.yaml', `${source.host}/big/app:v1: ${front.host}/big/app\n`);
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGKILL', null],
    ] as const) {
      front.setFaults([
        {
          when: { method: 'PUT', path: /uploads/, hit: { from: 2 } },
          effect: { kind: 'stall-request', afterBytes: 100 },
        },
      ]);
      const { child, ended } = place.start(['sync', '--images', 'big.yaml', '--proc', '1']);
      const before = front.find('PUT', /uploads/).length;
      await expect.poll(() => front.find('PUT', /uploads/).length - before).toBeGreaterThan(1);
      child.kill(signal);
      expect((await ended).code).toBe(code);
      expect(destination.content.has('big/app') ? destination.content.tags('big/app') : []).toEqual([]);
    }
    front.setFaults([]);
    front.requests.length = 0;
    const ended = await place.run(['sync', '--images', 'big.yaml', '--json']);
    expect(last(ended.stdout)).toMatchObject({ copied: 1 });
    expect(front.find('PUT', /uploads/).length).toBeLessThan(7);
    expect(jsonLines((await place.run(['status', '--json'])).stdout).map((line) => line.state)).toContain(
      'interrupted',
    );
  });

  it('shares a state directory with another run of the same rules', async () => {
    rule('', 'mirror/app');
    const ends = await Promise.all([place.run(['sync', '--json']), place.run(['sync', '--json'])]);
    for (const { code, stdout } of ends) {
      expect(code).toBe(0);
      const run = last(stdout) as { copied: number; unchanged: number };
      expect(run.copied + run.unchanged).toBe(tags.length);
    }
    expect(destination.content.tags('mirror/app')).toEqual(tags);
  });

  it('reads image-syncer files and flags, and writes what it copied in its format', async () => {
    place.write(
      'config.json',
      JSON.stringify({
        auth: Object.fromEntries(
          [source, destination].map(({ host }) => [host, { username: '', password: '', insecure: true }]),
        ),
        images: {
          [`${source.host}/team/app:/^1\\./`]: `${destination.host}/\${WHERE}/app`,
          [`${source.host}/team/app:1.0,2.0`]: [`${destination.host}/named/app:old,new`],
        },
      }),
    );
    const flags = ['--config=config.json', '--proc=6', '-r', '3', '--output-success-images', 'done.yaml'];
    const ended = await place.run([...flags, '--log', 'run.log'], { WHERE: 'regex' });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(destination.content.tags('regex/app')).toEqual(['1.0', '1.1', '1.2']);
    expect(destination.content.tags('named/app')).toEqual(['new', 'old']);
    const again = await place.run(['sync', '--images', 'done.yaml', '--json']);
    expect(last(again.stdout)).toMatchObject({ planned: 5, unchanged: 5 });
  });

  it('takes the destination from --registry and --namespace where a rule has none', async () => {
    place.write('images.yaml', `${source.host}/team/app:1.0: ""\n`);
    const without = await place.run(['sync']);
    expect(without.code).toBe(2);
    expect(without.stderr).toContain('--registry');
    expect((await place.run(['sync', '--registry', destination.host, '--namespace', 'all/of/it'])).code).toBe(0);
    expect(destination.content.tags('all/of/it/app')).toEqual(['1.0']);
  });

  const bad: Array<[what: string, files: Record<string, string>, args: string[], message: RegExp]> = [
    ['no rules at all', {}, ['sync'], /no rules.*--rules or --images/s],
    ['a missing file', {}, ['sync', '--images', 'gone.yaml'], /gone\.yaml/],
    ['an empty file', { 'images.yaml': '' }, ['sync'], /images\.yaml.*empty/s],
    [
      'an empty auth file',
      { 'images.yaml': 'a/b: c.example/d\n', 'auth.yaml': '\n' },
      ['sync'],
      /auth\.yaml.*empty.*\{\}/s,
    ],
    ['malformed YAML', { 'images.yaml': 'a: [b\n' }, ['sync'], /images\.yaml:\d+:\d+/],
    ['malformed JSON', { 'images.json': '{"a": }' }, ['sync'], /images\.json:1:\d+/],
    [
      'an unknown key',
      { 'tranship.yaml': 'version: 1\nrules:\n  - from: a/b\n    too: c/d\n' },
      ['sync'],
      /tranship\.yaml:4:5: .*too.*to\b/s,
    ],
    [
      'counts that do not match',
      { 'images.yaml': 'a/b:1,2: c.example/d:1\n' },
      ['sync'],
      /images\.yaml:1:\d+.*2 tags/s,
    ],
    ['a bad reference', { 'images.yaml': 'a/B C: c.example/d\n' }, ['sync'], /images\.yaml:1:1/],
    ['a bad regular expression', { 'images.yaml': 'a/b:/(/: c.example/d\n' }, ['sync'], /images\.yaml:1:1/],
    ['an unset variable', { 'images.yaml': 'a/b: $NOWHERE/d\n' }, ['sync'], /images\.yaml:1:\d+.*NOWHERE/s],
    [
      'a key given twice',
      { 'images.yaml': 'a/b: c.example/d\na/b: c.example/e\n' },
      ['sync'],
      /images\.yaml:2:1.*line 1|images\.yaml:2:1.*1:1/s,
    ],
    ['a mistyped flag', { 'images.yaml': 'a/b: c.example/d\n' }, ['sync', '--retires', '3'], /--retires.*--retries/s],
    ['a number that is none', { 'images.yaml': 'a/b: c.example/d\n' }, ['sync', '--proc', 'many'], /--proc.*many/s],
    [
      'a state directory that is a file',
      { 'images.yaml': 'a/b: c.example/d\n', taken: '' },
      ['sync', '--state', 'taken'],
      /taken/,
    ],
  ];
  it.each(bad)('%s ends with 2 before any registry is asked', async (_what, files, args, message) => {
    for (const [name, content] of Object.entries(files)) place.write(name, content);
    const ended = await place.run(args);
    expect(ended.stderr).toMatch(message);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(source.count() + destination.count()).toBe(0);
  });
});
