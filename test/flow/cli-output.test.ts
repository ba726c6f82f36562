import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, program, type Workplace } from '../support/command.ts';

const esc = String.fromCharCode(27);

describe('what the command prints', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let place: Workplace;
  let target = 0;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    const base = { seed: 'base', bytes: 200_000 };
    for (const tag of ['1.0', '1.1']) {
      const layers = [base, { seed: tag, bytes: 10_000 }];
      await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag, layers });
    }
  });
  afterAll(() => Promise.all([source.close(), destination.close()]));
  beforeEach(() => {
    place = openWorkplace([source.host, destination.host]);
    target += 1;
    place.write('images.yaml', `${source.host}/team/app: ${destination.host}/out${target}/app\n`);
    for (const registry of [source, destination]) registry.requests.length = 0;
    return () => place.remove();
  });
  const from = (tag: string) => `${source.host}/team/app:${tag}`;
  const to = (tag: string) => `${destination.host}/out${target}/app:${tag}`;

  it('is the report on stdout and the progress on stderr, without colours in a pipe', async () => {
    const ended = await place.run(['sync']);
    expect(ended.code).toBe(0);
    for (const tag of ['1.0', '1.1']) {
      expect(ended.stdout).toMatch(new RegExp(`^copied +${from(tag)} +-> ${to(tag)} .*[KM]iB$`, 'm'));
      expect(ended.stderr).toMatch(new RegExp(`^\\d{4}-.*Z copied +${from(tag)} -> ${to(tag)}: `, 'm'));
    }
    expect(ended.stdout).toMatch(/^2 tags: 2 copied, 0 unchanged; /m);
    expect(ended.stdout + ended.stderr).not.toContain(esc);

    const again = await place.run(['sync']);
    expect(again.stdout).toContain(`unchanged  2 tags of ${source.host}/team/app`);
    const verbose = await place.run(['sync', '--verbose']);
    for (const tag of ['1.0', '1.1']) expect(verbose.stdout).toContain(from(tag));
    expect(await place.run(['sync', '--quiet'])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('is, with --quiet, only what went wrong', async () => {
    place.write('images.yaml', `${from('1.0')}: ${to('x')}\n${from('gone')}: ${to('gone')}\n`);
    const { code, stdout, stderr } = await place.run(['sync', '--quiet']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toContain(from('gone'));
    expect(stdout).not.toContain(`${from('1.0')} `);
  });

  it('has colours only where they are wanted', async () => {
    const forced = await place.run(['sync'], { FORCE_COLOR: '1' });
    expect(forced.stdout).toContain(`${esc}[`);
    expect((await place.run(['sync', '--no-color'], { FORCE_COLOR: '1' })).stdout).not.toContain(esc);
  });

  it('tells with --json of every planned tag once, and closes with the run', async () => {
    for (const result of ['copied', 'unchanged']) {
      const { stdout, stderr } = await place.run(['sync', '--json']);
      expect(stderr).toBe('');
      const lines = jsonLines(stdout);
      const outcomes = lines.filter(({ type }) => type === 'outcome');
      expect(outcomes.map((line) => [line.source, line.destination, line.result]).sort()).toEqual(
        ['1.0', '1.1'].map((tag) => [from(tag), to(tag), result]),
      );
      expect(lines.at(-1)).toMatchObject({ type: 'run', state: 'done', planned: 2, [result]: 2 });
      expect(lines.filter(({ type }) => type === 'run')).toHaveLength(1);
    }
  });

  it.each(['stdout', 'stderr'] as const)('goes on when nobody reads %s any more', async (stream) => {
    place.write(
      'images.yaml',
      `${source.host}/team/app: ${destination.host}/out${target}/app\n${from('gone')}: ${to('gone')}\n`,
    );
    const { child, ended } = place.start(['sync', ...(stream === 'stdout' ? ['--json'] : [])]);
    child[stream]?.destroy();
    // A tag failed: that nobody reads it does not make it good.
    expect((await ended).code).toBe(1);
    expect(destination.content.tags(`out${target}/app`)).toEqual(['1.0', '1.1']);
    expect(jsonLines((await place.run(['status', '--json'])).stdout)[0]).toMatchObject({ state: 'done', copied: 2 });
  });

  it('plans with the bytes, blobs and states that sync then finds, and writes nothing', async () => {
    await place.run(['sync']);
    const at = { url: source.url, repository: `plan${target}/app` };
    const shared = { seed: 'base', bytes: 200_000 };
    const fresh = { seed: 'fresh', bytes: 30_000 };
    const image = await pushImage(at, { seed: 'new', tag: 'new', layers: [shared, fresh] });
    place.write(
      'images.yaml',
      `${source.host}/team/app: ${destination.host}/out${target}/app
${source.host}/plan${target}/app: ${destination.host}/out${target}/planned
${from('gone')}: ${to('gone')}\n`,
    );
    const before = listFiles(place.directory);
    destination.requests.length = 0;
    const plan = await place.run(['plan', '--json']);
    expect(plan.code).toBe(1);
    const lines = jsonLines(plan.stdout);
    const states = Object.fromEntries(
      lines.filter(({ type }) => type === 'tag').map((line) => [line.source, line.state]),
    );
    expect(states).toMatchObject({ [from('1.0')]: 'in-step', [from('gone')]: 'unknown' });
    const lacking = [image.config, ...image.layers.slice(1)];
    const bytes = lacking.reduce((sum, blob) => sum + blob.size, 0);
    // The shared layer is to be mounted from the other repository.
    expect(lines.find(({ state }) => state === 'new')).toMatchObject({ bytes, blobs: 2 });
    expect(destination.requests.filter(({ method }) => !/^(GET|HEAD)$/.test(method))).toEqual([]);
    expect(listFiles(place.directory)).toEqual(before);
    const text = (await place.run(['plan'])).stdout;
    expect(text).toContain('2 tags to copy (1 new, 1 unknown), 2 in step');

    const sync = jsonLines((await place.run(['sync', '--json'])).stdout);
    expect(sync.at(-1)).toMatchObject({ copied: 1, unchanged: 2, failed: 1, bytes });
  });

  const hasScript = existsSync('/usr/bin/script');
  // Part of every Debian and Ubuntu: where it lacks in CI, the test says so.
  it.skipIf(!hasScript && process.env.CI === undefined).each([
    ['a terminal', 'stty cols 100 rows 30;', {}],
    ['a terminal without a size', '', {}],
    ['a terminal without colours', '', { NO_COLOR: '1' }],
  ])('is drawn live on %s, with the report below', async (_what, size, env) => {
    const command = `${size} exec ${process.execPath} ${program} sync`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: place.directory,
      env: {
        PATH: process.env.PATH,
        HOME: place.directory,
        TERM: 'xterm',
        TRANSHIP_STATE: `${place.directory}/state`,
        ...env,
      },
      timeout: 240_000,
    });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    const [code] = await once(child, 'close');
    expect({ code, text }).toMatchObject({ code: 0 });
    expect(new RegExp(`${esc}\\[3\\dm`).test(text)).toBe(!('NO_COLOR' in env));
    expect(text).toContain(`${esc}[`);
    const plain = text.replace(new RegExp(`${esc}\\[[0-9;?]*[a-zA-Z]`, 'g'), '').replaceAll('\r', '');
    expect(plain).toMatch(/2 tags: 2 copied, 0 unchanged; .* moved/);
    expect(plain).toContain(to('1.1'));
    // The cursor is left visible.
    expect(text.lastIndexOf(`${esc}[?25h`)).toBeGreaterThanOrEqual(text.lastIndexOf(`${esc}[?25l`));
  });
});

function listFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/-(shm|wal)$/.test(entry.name))
    .map((entry) => `${entry.name} ${readFileSync(`${entry.parentPath}/${entry.name}`).toString('base64').length}`)
    .sort();
}
