import { mkdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage, pushMultiArch } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';

// Command lines and files as image-syncer's README has them.
describe('in the place of image-syncer', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let place: Workplace;
  const tags = ['1.0', '1.1', '2.0'];
  const login = { username: 'me', password: 'hunter2' };

  beforeAll(async () => {
    const access = { kind: 'basic' as const, users: [login] };
    [source, destination] = await Promise.all([startRegistry(), startRegistry({ access })]);
    for (const tag of tags) {
      await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag, format: 'docker' });
    }
    await pushMultiArch(
      { url: source.url, repository: 'team/multi' },
      {
        seed: 'multi',
        tag: 'latest',
        format: 'docker',
        platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7', 'windows/amd64'],
      },
    );
  });
  afterAll(() => Promise.all([source.close(), destination.close()]));
  beforeEach(() => {
    place = openWorkplace();
    return () => place.remove();
  });

  const auth = () => ({
    [source.host]: { insecure: true },
    [`${destination.host}/drop`]: { username: `\${USER_NAME}`, password: '$PASSWORD', insecure: true },
  });
  const env = { USER_NAME: login.username, PASSWORD: login.password };
  const tagsAt = (repository: string) => destination.content.tags(repository);
  const digestOf = (registry: EmbeddedRegistry, repository: string, tag: string) =>
    registry.content.manifest(repository, tag)?.digest;

  it('takes auth.json and images.json of the working directory', async () => {
    place.write('auth.json', JSON.stringify(auth()));
    place.write('images.json', JSON.stringify({ [`${source.host}/team/app:1.0`]: `${destination.host}/drop/default` }));
    expect((await place.run([], env)).code).toBe(0);
    expect(tagsAt('drop/default')).toEqual(['1.0']);
  });

  it('takes all that a rule can say, in YAML, with its flags', async () => {
    const digest = digestOf(source, 'team/app', '2.0');
    place.write(
      'auth.yaml',
      Object.entries(auth())
        .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
        .join(''),
    );
    place.write(
      'rules.yaml',
      `${source.host}/team/app: ${destination.host}/drop/all
${source.host}/team/app:1.0,1.1: ${destination.host}/drop/some:old,new
${source.host}/team/app:/^1\\.\\d$/: [${destination.host}/drop/regex, "${destination.host}/drop/regex-too"]
${source.host}/team/app@${digest}: ${destination.host}/drop/pinned:fixed
${source.host}/team/app:2.0: $WHERE/\${WHAT}:renamed
`,
    );
    const flags = ['--auth=./auth.yaml', '--images', './rules.yaml', '--proc=6', '-p', '4', '--retries=3', '-r', '0'];
    const where = { ...env, WHERE: destination.host, WHAT: 'drop/env' };
    const ended = await place.run(
      [...flags, '--log', './log', '--output-success-images=done.json', '--output-images-format', 'json'],
      where,
    );
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(tagsAt('drop/all')).toEqual(tags);
    expect(tagsAt('drop/some')).toEqual(['new', 'old']);
    for (const name of ['drop/regex', 'drop/regex-too']) expect(tagsAt(name)).toEqual(['1.0', '1.1']);
    expect(digestOf(destination, 'drop/pinned', 'fixed')).toBe(digest);
    expect(digestOf(destination, 'drop/env', 'renamed')).toBe(digest);
    expect(digestOf(destination, 'drop/some', 'new')).toBe(digestOf(source, 'team/app', '1.1'));
    expect(readFileSync(`${place.directory}/log`, 'utf8')).toContain(`${destination.host}/drop/some:new`);
    const done = JSON.parse(readFileSync(`${place.directory}/done.json`, 'utf8')) as Record<string, string[]>;
    expect(done[`${source.host}/team/app:1.1`]?.sort()).toEqual(
      ['drop/all:1.1', 'drop/regex-too:1.1', 'drop/regex:1.1', 'drop/some:new'].map(
        (to) => `${destination.host}/${to}`,
      ),
    );
    const texts = ['log', 'done.json'].map((name) => readFileSync(`${place.directory}/${name}`, 'utf8'));
    expect([...texts, ended.stdout].join()).not.toContain(login.password);
  });

  it('copies only the platforms of --os and --arch, repeated or by comma', async () => {
    place.write('auth.json', JSON.stringify(auth()));
    place.write(
      'images.json',
      JSON.stringify({ [`${source.host}/team/multi:latest`]: `${destination.host}/drop/multi` }),
    );
    const platforms = () => {
      const { bytes } = destination.content.manifest('drop/multi', 'latest') ?? { bytes: Buffer.from('{}') };
      const { manifests } = JSON.parse(bytes.toString()) as { manifests: Array<{ platform: Record<string, string> }> };
      return manifests.map(({ platform }) => `${platform.os}/${platform.architecture}`).sort();
    };
    expect((await place.run(['--os', 'linux', '--arch', 'amd64', '--arch', 'arm64'], env)).code).toBe(0);
    expect(platforms()).toEqual(['linux/amd64', 'linux/arm64']);
    expect((await place.run(['--os=linux,windows', '--arch=amd64'], env)).code).toBe(0);
    expect(platforms()).toEqual(['linux/amd64', 'windows/amd64']);
    expect((await place.run([], env)).code).toBe(0);
    expect(digestOf(destination, 'drop/multi', 'latest')).toBe(digestOf(source, 'team/multi', 'latest'));
  });

  it('tells in each run, and of each tag, where an image has none of the platforms', async () => {
    place.write('auth.json', JSON.stringify(auth()));
    place.write('images.json', JSON.stringify({ [`${source.host}/team/app:1.0`]: `${destination.host}/drop/none` }));
    const none = ['--arch', 'riscv64'];
    const run = async (...args: string[]) => {
      const { code, stdout } = await place.run([...args, ...none], env);
      expect(code).toBe(0);
      return stdout;
    };
    // By a task, and by the planner once the ledger knows.
    for (const _ of ['cold', 'known']) {
      expect(await run('verify')).toContain('1 destination tag: 0 ok, 1 empty\n');
      expect(await run('plan')).toContain('1 in step (1 without an image for the platforms)');
      expect(await run('sync')).toContain('1 unchanged (1 without an image for the platforms)');
    }
    expect(await run('sync', '-v')).toContain('no image for arch=riscv64');
    expect(await run('verify', '--json')).toContain('"state":"empty"');
    expect(destination.content.has('drop/none')).toBe(false);
  });

  it('reads one file of rules and logins, and puts an empty destination where --registry says', async () => {
    place.write('config.json', JSON.stringify({ auth: auth(), images: { [`${source.host}/team/app`]: '' } }));
    const ended = await place.run(
      ['--config', 'config.json', `--registry=${destination.host}`, '--namespace=drop/ns'],
      env,
    );
    expect(ended.code).toBe(0);
    expect(tagsAt('drop/ns/app')).toEqual(tags);
  });

  it('takes the logins of such a file where it is given with --images', async () => {
    const images = { [`${source.host}/team/app`]: `${destination.host}/drop/both` };
    place.write('both.json', JSON.stringify({ auth: auth(), images }));
    expect((await place.run(['--images', 'both.json'], env)).code).toBe(0);
    expect(tagsAt('drop/both')).toEqual(tags);
    place.write('none.json', '{}');
    expect((await place.run(['--images', 'both.json', '--auth', 'none.json', '--force'], env)).code).toBe(1);
  });

  const files = (content: { images?: unknown; auth?: unknown; authText?: string }) => {
    place.write('auth.json', content.authText ?? JSON.stringify(content.auth ?? auth()));
    place.write(
      'images.json',
      JSON.stringify(content.images ?? { [`${source.host}/team/app`]: `${destination.host}/drop/x` }),
    );
  };
  const bad: Array<[what: string, files: () => void, args: string[], message: RegExp]> = [
    ['a missing auth file', () => files({}), ['--auth', 'none.json'], /none\.json/],
    ['malformed logins', () => files({ authText: '{"a": {"username": ' }), [], /auth\.json:1:\d+/],
    [
      'an unknown key in a login',
      () => files({ auth: { 'a.example': { pasword: 'hunter2' } } }),
      [],
      /auth\.json:1:\d+.*pasword.*password/s,
    ],
    [
      'a variable that is not set in a login',
      () => files({ auth: { 'a.example': { password: `\${NO_SUCH}`, username: 'a' } } }),
      [],
      /auth\.json:1:\d+.*NO_SUCH/s,
    ],
    ['a destination that is no text', () => files({ images: { 'a.example/b': 5 } }), [], /images\.json:1:\d+/],
    [
      'a bad destination',
      () => files({ images: { 'a.example/b': 'c.example/UPPER' } }),
      [],
      /images\.json:1:\d+.*UPPER/s,
    ],
    [
      'a digest that is none',
      () => files({ images: { 'a.example/b@sha256:abc': 'c.example/d' } }),
      [],
      /images\.json:1:\d+.*sha256:abc/s,
    ],
    [
      'a digest with another at its destination',
      () => files({ images: { [`a.example/b@sha256:${'a'.repeat(64)}`]: `c.example/d@sha256:${'b'.repeat(64)}` } }),
      [],
      /images\.json:1:\d+.*digest/s,
    ],
    [
      'a directory for a file',
      () => mkdirSync(`${place.directory}/rules.yaml`),
      ['--images', 'rules.yaml'],
      /rules\.yaml.*directory/s,
    ],
    ['a log that cannot be written', () => files({}), ['--log', 'no/such/log'], /no\/such\/log/],
    [
      'a list of what was copied that cannot be written',
      () => files({}),
      ['--output-success-images', 'no/such/list'],
      /no\/such\/list/,
    ],
    ['an unknown format of it', () => files({}), ['--output-images-format', 'toml'], /toml.*yaml, json/s],
    ['a flag without its value', () => files({}), ['--auth'], /--auth/],
    ['too many retries', () => files({}), ['--retries', '-1'], /--retries/],
    ['an unknown command', () => files({}), ['snyc'], /snyc.*sync/s],
    ['an architecture that is none', () => files({}), ['--arch', 'amd 64'], /amd 64/],
    [
      'a registry with its scheme',
      () => files({}),
      ['--registry', 'https://a.example'],
      /https:\/\/a\.example.*without https/s,
    ],
    ['a state directory that cannot be made', () => files({}), ['--state', '/dev/null/state'], /\/dev\/null\/state/],
  ];
  it.each(bad)(
    '%s is told with its place, and nothing is asked of a registry',
    async (_what, prepare, args, message) => {
      prepare();
      for (const registry of [source, destination]) registry.requests.length = 0;
      const ended = await place.run(args, env);
      expect(ended.stderr).toMatch(message);
      expect(ended.stderr).not.toMatch(/\n {4}at |hunter2/);
      expect(ended).toMatchObject({ code: 2, stdout: '' });
      expect(source.count() + destination.count()).toBe(0);
    },
  );

  it('copies what the other rules say where one cannot be expanded', async () => {
    const images = {
      [`${source.host}/team/nothing`]: `${destination.host}/drop/nothing`,
      [`${source.host}/team/app:/^1/`]: `${destination.host}/drop/others`,
    };
    files({ images });
    const { code, stdout } = await place.run(['--json'], env);
    expect(code).toBe(1);
    expect(tagsAt('drop/others')).toEqual(['1.0', '1.1']);
    const last = jsonLines(stdout).at(-1);
    expect(last).toMatchObject({ copied: 2, ruleFailures: [{ rule: `${source.host}/team/nothing` }] });
  });
});
