import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../cli/args/args.ts';
import { init } from '../../cli/commands/init.ts';
import type { Shell } from '../../cli/shell.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';

describe('commands for the first hour', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let place: Workplace;
  const tags = ['1.0', '1.1', '2.0', 'latest'];

  beforeAll(async () => {
    const access = { kind: 'basic' as const, users: [{ username: 'me', password: 'hunter2' }] };
    [source, destination] = await Promise.all([startRegistry(), startRegistry({ access })]);
    for (const tag of tags) await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag });
  });
  afterAll(() => Promise.all([source.close(), destination.close()]));
  beforeEach(() => {
    place = openWorkplace();
    logIn('hunter2');
    return () => place.remove();
  });
  const logIn = (password: string) =>
    place.write(
      'auth.yaml',
      `${source.host}: { insecure: true }\n${destination.host}: { username: me, password: ${password}, insecure: true }\n`,
    );
  const app = () => `${source.host}/team/app`;

  it('copy: one tag, latest where none is said, all with --all-tags; in step the second time', async () => {
    const one = await place.run(['copy', `${app()}:1.0`, `${destination.host}/a/app`, `${destination.host}/a/app:new`]);
    expect(one).toMatchObject({ code: 0, stdout: expect.stringMatching(/^2 tags: 2 copied/m) });
    expect(destination.content.tags('a/app')).toEqual(['1.0', 'new']);
    await place.run(['copy', app(), `${destination.host}/b/app`]);
    expect(destination.content.tags('b/app')).toEqual(['latest']);
    const all = await place.run(['copy', '--all-tags', app(), `${destination.host}/b/app`]);
    expect(all.stdout).toMatch(/^4 tags: 3 copied, 1 unchanged/m);
    expect(destination.content.tags('b/app')).toEqual(tags);
    const wrong = await place.run(['copy', app(), destination.host]);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining(`write it as ${destination.host}/name`) });
  });

  it("copy: by Docker's own logins beside files of other programs, and with --auth= beside an auth file", async () => {
    const auth = Buffer.from('me:hunter2').toString('base64');
    place.write('docker.json', JSON.stringify({ auths: { [destination.host]: { auth } } }));
    const env = { REGISTRY_AUTH_FILE: join(place.directory, 'docker.json') };
    const copy = ['copy', `${app()}:1.0`, `${destination.host}/own/app`];
    logIn('wrong');
    expect((await place.run(copy, env)).code).toBe(1);
    expect(await place.run([...copy, '--auth='], env)).toMatchObject({
      code: 0,
      stderr: expect.not.stringContaining('warning'),
    });
    rmSync(join(place.directory, 'auth.yaml'));
    place.write('auth.json', '{"http-basic": {"repo.example.org": {"username": "u", "password": "p"}}}');
    place.write('config.json', '{"port": 8080}');
    const ended = await place.run([...copy, '--force'], env);
    expect(ended).toMatchObject({ code: 0, stderr: expect.stringContaining('warning   config.json is passed over') });
    expect(ended.stderr).toContain('warning   auth.json is passed over');
  });

  it('tags: one a line, with digests where they are asked for', async () => {
    expect(await place.run(['tags', app()])).toEqual({ code: 0, stdout: `${tags.join('\n')}\n`, stderr: '' });
    const { stdout } = await place.run(['tags', app(), '--digests', '--json']);
    const digest = source.content.manifest('team/app', '2.0')?.digest;
    expect(jsonLines(stdout)[2]).toEqual({ type: 'listed-tag', repository: app(), tag: '2.0', digest });
    expect((await place.run(['tags', `${source.host}/none`])).code).toBe(1);
  });

  it('explain: what is in and out by the tags that are there, and why', async () => {
    place.write(
      'tranship.yaml',
      `version: 1\nrules:\n  - name: app\n    from: ${app()}\n    tags: { semver: ">=1.1", newest: 1 }\n    to: ${destination.host}/c/app\n    delete: { tags: mirror, max: 10%, keep: 3 }\n  - from: ${source.host}/none\n    to: ${destination.host}/c/none\n`,
    );
    const { code, stdout } = await place.run(['explain', 'app']);
    expect(code).toBe(0);
    expect(stdout).toBe(`rule app
  takes   the newest 1 of tags that are versions in >=1.1
  from    ${app()}
  to      ${destination.host}/c/app
  with    their signatures, attestations, sboms
  deletes tags that it copied and that are gone at the source; at most 10 % of them a day, never the newest 3
  in      1: 2.0
  out     1 older than the newest 1: 1.1
  out     2 not in the range >=1.1: 1.0, latest
  1 of 4 tags taken.
`);
    expect((await place.run(['explain', 'app', '1.1', '9'])).stdout).toContain('missing 1 not at the source: 9');
    const all = await place.run(['explain', '--json']);
    expect(all.code).toBe(1);
    expect(jsonLines(all.stdout).map(({ rule, taken }) => [rule, taken])).toEqual([
      ['app', ['2.0']],
      [`${source.host}/none`, undefined],
    ]);
    expect((await place.run(['explain', 'apps'])).stderr).toContain('Its rules are app, ');
  });

  it('init: writes rules that sync takes, tries both logins, and touches no file that is there', async () => {
    const flags = ['--from', app(), '--to', `${destination.host}/d/app`, '--tags', '1.*', '--newest', '1'];
    const made = await place.run(['init', ...flags]);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toContain(`ok      ${app()} can be read: the rule takes 1 of 4 tags\n`);
    expect(made.stdout).toContain(`ok      ${destination.host}/d/app can be pushed to\n`);
    expect(destination.content.tags('d/app')).toEqual([]);
    expect((await place.run(['sync'])).code).toBe(0);
    expect(destination.content.tags('d/app')).toEqual(['1.1']);
    expect(await place.run(['init', ...flags])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is there already'),
    });
    logIn('wrong');
    const refused = await place.run(['init', ...flags, '--rules', 'other.yaml']);
    expect(refused).toMatchObject({ code: 1, stdout: expect.stringContaining('check the login for') });
    expect((await place.run(['init', '--rules', 'third.yaml'])).stderr).toContain('Give --from.');
  });

  it('init: tells what a plan would refuse, and writes JSON where the name says so', async () => {
    const to = `${destination.host}/f/app`;
    const named = await place.run(['init', '--from', app(), '--to', `${to}:one`]);
    expect(named).toMatchObject({ code: 1, stdout: expect.stringMatching(/failed {2}.*\n.*has 4 tags for this rule/) });
    const digest = `sha256:${'0'.repeat(64)}`;
    const gone = await place.run(['init', '--from', `${app()}@${digest}`, '--to', to, '--rules', 'gone.yaml']);
    expect(gone).toMatchObject({ code: 1, stdout: expect.stringContaining(`${app()}@${digest} is not there`) });
    expect((await place.run(['init', '--from', app(), '--to', to, '--rules', 'r.json'])).code).toBe(0);
    const written = JSON.parse(readFileSync(join(place.directory, 'r.json'), 'utf8'));
    expect(written).toEqual({ version: 1, rules: [{ from: app(), to }] });
    expect((await place.run(['plan', '--rules', 'r.json'])).code).toBe(0);
  });

  it('init: asks again until an answer can be used', async () => {
    const answers = ['UPPER/app', app(), destination.host, `${destination.host}/e/app`, '[', '1.*', 'some', '2'];
    const written: string[] = [];
    const shell: Shell = {
      env: { HOME: place.directory },
      stdout: { write: (text) => written.push(text) > 0 },
      stderr: { write: () => true, on() {}, off() {}, writableNeedDrain: false } as unknown as Shell['stderr'],
      onSignal: () => () => undefined,
      onHangup: () => () => {},
      unwritten: async () => ({}),
      ask: async () => answers.shift(),
    };
    const rules = join(place.directory, 'asked.yaml');
    const invocation = parseCommandLine(['init', '--rules', rules, '--auth', join(place.directory, 'auth.yaml')]);
    if (invocation.command !== 'init') throw new Error(invocation.command);
    expect(await init(invocation.flags, shell)).toBe(0);
    expect(answers).toEqual([]);
    expect(readFileSync(rules, 'utf8')).toContain('match: 1.*\n      newest: 2');
    expect(written.join('')).toContain('the rule takes 2 of 4 tags');
  });
});
