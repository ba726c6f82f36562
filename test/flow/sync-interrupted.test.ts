import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';

describe('a run that is stopped', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let front: FaultyRegistry;
  let place: Workplace;
  const tags = ['1.0', '1.1', '1.2'];

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    front = await startFaultyRegistry({ upstream: destination.url });
    for (const tag of tags) {
      const layers = [{ seed: tag, bytes: 1_000_000 }];
      await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag, layers });
    }
  });
  afterAll(async () => {
    await front.close();
    await Promise.all([source.close(), destination.close()]);
  });
  beforeEach(() => {
    place = openWorkplace([source.host, destination.host, front.host]);
    front.setFaults([]);
    front.requests.length = 0;
    return () => place.remove();
  });

  const rule = (to: string) => place.write('images.yaml', `${source.host}/team/app: ${front.host}/${to}\n`);
  const tagsAt = (repository: string) =>
    destination.content.has(repository) ? destination.content.tags(repository) : [];
  const stallUploads = (from: number) =>
    front.setFaults([
      { when: { method: 'PUT', path: /uploads/, hit: { from } }, effect: { kind: 'stall-request', afterBytes: 1000 } },
    ]);
  /** Starts a command and waits until the front has seen a request. */
  const startUntil = async (args: string[], method: string, path: RegExp) => {
    front.requests.length = 0;
    const started = place.start(args);
    await expect.poll(() => front.find(method, path).length).toBeGreaterThan(0);
    return started;
  };

  it('gives every planned tag an outcome, and goes on with those that have none', async () => {
    rule('stopped/app');
    front.setFaults([
      { when: { method: 'PUT', path: /manifests\/1\.[12]/ }, effect: { kind: 'stall-request', afterBytes: 10 } },
    ]);
    const { child, ended } = place.start(['sync', '--json']);
    await expect
      .poll(() => [tagsAt('stopped/app'), front.find('PUT', /manifests\/1\.[12]/).length])
      .toEqual([['1.0'], 2]);
    child.kill('SIGTERM');
    const { code, stdout } = await ended;
    expect(code).toBe(143);
    const lines = jsonLines(stdout);
    expect(lines.at(-1)).toMatchObject({ type: 'run', state: 'interrupted', planned: 3, copied: 1, deferred: 2 });
    const results = lines.filter(({ type }) => type === 'outcome').map(({ result }) => result);
    expect(results.sort()).toEqual(['copied', 'deferred', 'deferred']);
    expect(tagsAt('stopped/app')).toEqual(['1.0']);

    front.setFaults([]);
    front.requests.length = 0;
    const next = await place.run(['sync', '--json']);
    expect(next.code).toBe(0);
    expect(jsonLines(next.stdout).at(-1)).toMatchObject({ copied: 2, unchanged: 1, bytes: 0 });
    expect(front.find('PUT', /uploads/)).toEqual([]);
    expect(tagsAt('stopped/app')).toEqual(tags);
  });

  it('ends at once at a second signal', async () => {
    // A clean-up that never ends.
    const shell = new URL('../../cli/shell.ts', import.meta.url);
    const program = `import { openProcessShell } from ${JSON.stringify(shell)};
      openProcessShell().onSignal(() => console.log('first'));
      setInterval(() => {}, 1000);
      console.log('ready');`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { timeout: 60_000 });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    const ended = once(child, 'close');
    await expect.poll(() => text).toBe('ready\n');
    child.kill('SIGINT');
    await expect.poll(() => text).toBe('ready\nfirst\n');
    child.kill('SIGTERM');
    expect(await ended).toEqual([143, null]);
  });

  it.each(['plan', 'verify', 'sync'])('%s ends by the signal while a registry says nothing at all', async (command) => {
    rule('silent/app');
    front.setFaults([{ effect: { kind: 'stall', afterBytes: 0 } }]);
    const { child, ended } = await startUntil([command], 'GET', /\/v2\//);
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect(code).toBe(130);
    expect(stderr).not.toContain('    at ');
  });

  it('is known as interrupted right after its process was killed', async () => {
    rule('killed/app');
    stallUploads(1);
    const { child, ended } = await startUntil(['sync'], 'PUT', /uploads/);
    expect(jsonLines((await place.run(['status', '--json'])).stdout)[0]).toMatchObject({ state: 'running' });
    child.kill('SIGKILL');
    await ended;
    const status = await place.run(['status', '--json']);
    expect(status.code).toBe(1);
    expect(jsonLines(status.stdout)[0]).toMatchObject({ state: 'interrupted', planned: 3, deferred: 3 });
    expect(tagsAt('killed/app')).toEqual([]);
  });

  it('leaves nothing undone where three runs of the same rules work at once', async () => {
    rule('shared/app');
    const ends = await Promise.all([1, 2, 3].map(() => place.run(['sync', '--json', '--proc', '2'])));
    for (const { code, stdout } of ends) {
      expect(code).toBe(0);
      const run = jsonLines(stdout).at(-1) as { copied: number; unchanged: number; planned: number };
      expect(run).toMatchObject({ planned: 3, failed: 0, deferred: 0 });
      expect(run.copied + run.unchanged).toBe(3);
    }
    const copied = ends.map(({ stdout }) => Number(jsonLines(stdout).at(-1)?.copied));
    expect(copied.reduce((sum, count) => sum + count)).toBe(3);
    for (const tag of tags) {
      const wanted = source.content.manifest('team/app', tag)?.digest;
      expect(destination.content.manifest('shared/app', tag)?.digest).toBe(wanted);
    }
    expect((await place.run(['verify', '--json'])).code).toBe(0);
    const runs = jsonLines((await place.run(['status', '--json'])).stdout);
    expect(runs.map(({ state }) => state)).toEqual(['done', 'done', 'done']);
  });
});
