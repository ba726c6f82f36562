import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { openWorkplace, program, type Workplace } from '../support/command.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';

const tags = ['1.0', '1.1', '1.2'];

describe.skipIf(!existsSync('/dev/full'))('output that cannot be written', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let front: FaultyRegistry;
  let place: Workplace;
  let full: number;
  let target = 0;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    front = await startFaultyRegistry({ upstream: destination.url });
    for (const tag of tags) await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag });
    full = openSync('/dev/full', 'w');
  });
  afterAll(async () => {
    closeSync(full);
    await front.close();
    await Promise.all([source.close(), destination.close()]);
  });
  beforeEach(() => {
    place = openWorkplace([source.host, destination.host, front.host]);
    target += 1;
    place.write('images.yaml', `${source.host}/team/app: ${destination.host}/out${target}/app\n`);
    front.setFaults([]);
    front.requests.length = 0;
    return () => place.remove();
  });
  const copied = () =>
    destination.content.has(`out${target}/app`) ? destination.content.tags(`out${target}/app`) : [];
  const hasStack = (text: string) => /^ {4}at /m.test(text);

  it.each(['stdout', 'stderr'] as const)('stops no copy and changes no exit code when it is %s', async (stream) => {
    const { code, stdout, stderr } = await place.run(['sync'], {}, { [stream]: full });
    expect({ code, stdout, stderr, copied: copied() }).toMatchObject({ code: 0, copied: tags });
    const [told] = [stdout, stderr].filter((text) => text.includes('could not be written'));
    expect(told).toMatch(new RegExp(`^(tranship: )?${stream} could not be written, .*: ENOSPC: `, 'm'));
    expect(hasStack(stdout + stderr)).toBe(false);
  });

  it('leaves a failed tag failed', async () => {
    const rules = `${source.host}/team/app:1.0: ${destination.host}/out${target}/app\n`;
    place.write('images.yaml', `${rules}${source.host}/team/app:gone: ${destination.host}/out${target}/gone\n`);
    expect((await place.run(['sync'], {}, { stdout: full, stderr: full })).code).toBe(1);
    expect(copied()).toEqual(['1.0']);
  });

  it.each([['plan'], ['status'], ['help'], ['version'], ['completion', 'bash']])(
    'fails %s, which does nothing but print',
    async (...args) => {
      const { code, stderr } = await place.run(args, {}, { stdout: full });
      expect({ code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('stdout could not be written'),
      });
    },
  );

  it('does not end serve, whose log it is', async () => {
    const args = ['serve', '--listen', '127.0.0.1:0', '--schedule', '* * * * * *'];
    const { child, ended } = place.start(args, {}, { stdout: full, stderr: full });
    await expect.poll(copied).toEqual(tags);
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
  });

  it('stops no run in a directory that is gone', async () => {
    const images = place.write('images.yaml', `${source.host}/team/app: ${destination.host}/out${target}/app\n`);
    const command = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
    const auth = join(place.directory, 'auth.yaml');
    const args = ['-c', command, 'sh', process.execPath, program, 'sync', '--images', images, '--auth', auth];
    const child = spawn('sh', args, {
      cwd: place.directory,
      env: { PATH: process.env.PATH, HOME: place.directory, TRANSHIP_STATE: join(place.directory, 'state') },
      stdio: 'ignore',
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(copied()).toEqual(tags);
  });

  it.each(['--log', '--output-success-images'])('is told of when it is the file of %s', async (flag) => {
    const { code, stderr } = await place.run(['sync', flag, '/dev/full']);
    expect({ code, copied: copied() }).toEqual({ code: 0, copied: tags });
    expect(stderr).toMatch(/warning:? .*\/dev\/full could not be written, .*: ENOSPC: /);
  });

  it('never ends in the state file when the streams are closed', async () => {
    const command = 'exec "$@" <&- >&- 2>&-';
    const child = spawn('sh', ['-c', command, 'sh', process.execPath, program, 'sync'], {
      cwd: place.directory,
      env: { PATH: process.env.PATH, HOME: place.directory, TRANSHIP_STATE: join(place.directory, 'state') },
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(copied()).toEqual(tags);
    expect(
      readFileSync(join(place.directory, 'state', 'state.db'))
        .subarray(0, 15)
        .toString(),
    ).toBe('SQLite format 3');
  });

  // The limit of a file's size ends writes as a full disk does, at a point of the run that differs with it.
  it.each([20, 60, 100, 140, 180])(
    'ends a run as failed, and clearly, when it is the state after %i KiB',
    async (kib) => {
      const command = `ulimit -f ${kib}; exec "$@"`;
      const child = spawn('bash', ['-c', command, 'bash', process.execPath, program, 'sync'], {
        cwd: place.directory,
        env: { PATH: process.env.PATH, HOME: place.directory, TRANSHIP_STATE: join(place.directory, 'state') },
      });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      const [code] = await once(child, 'close');
      if (code === 0) expect(copied()).toEqual(tags);
      else {
        expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('state.db cannot be') });
        expect(stderr).toContain('--state');
      }
      expect(hasStack(stderr)).toBe(false);
      // What is there is still good, or was never begun.
      expect((await place.run(['sync'])).code).toBe(0);
      expect(copied()).toEqual(tags);
    },
  );

  it('is a matter of settings where there is no place for the state', async () => {
    const { code, stderr } = await place.run(['sync'], { HOME: '', TRANSHIP_STATE: undefined });
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('--state') });
    const missing = join(place.directory, 'images.yaml', 'x');
    const under = await place.run(['sync'], { HOME: missing, TRANSHIP_STATE: undefined });
    expect(under).toMatchObject({ code: 2, stderr: expect.stringContaining('--state') });
    expect(hasStack(stderr + under.stderr)).toBe(false);
  });

  it('needs no temporary directory to look at what there is', async () => {
    for (const command of ['plan', 'verify', 'status']) {
      const { code, stderr } = await place.run([command], { TMPDIR: join(place.directory, 'gone') });
      expect({ command, code, stderr }).toEqual({ command, code: command === 'verify' ? 1 : 0, stderr: '' });
    }
  });

  describe('because the terminal is gone', () => {
    const hasScript = existsSync('/usr/bin/script');
    /** Holds the last tag back. @returns what lets it go */
    const hold = () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      place.write('images.yaml', `${source.host}/team/app: ${front.host}/out${target}/app\n`);
      front.setFaults([{ when: { method: 'PUT', path: /manifests\/1\.2/ }, effect: { kind: 'hold', until: promise } }]);
      return resolve;
    };
    /** A run on a terminal of its own, until it has copied all but one tag. @returns what closes the terminal */
    async function startOnTerminal(prefix: string): Promise<() => void> {
      const list = join(place.directory, 'list.yaml');
      const command = `${prefix} ${process.execPath} ${program} sync --output-success-images ${list}`;
      const terminal = spawn('script', ['-qec', command, '/dev/null'], {
        cwd: place.directory,
        env: {
          ...{ PATH: process.env.PATH, HOME: place.directory, TERM: 'xterm' },
          TRANSHIP_STATE: join(place.directory, 'state'),
        },
        stdio: ['pipe', 'ignore', 'ignore'],
        timeout: 240_000,
      });
      await expect.poll(copied).toEqual(['1.0', '1.1']);
      await expect.poll(() => front.find('PUT', /manifests\/1\.2/).length).toBe(1);
      return () => terminal.kill('SIGKILL');
    }
    const list = () => readFileSync(join(place.directory, 'list.yaml'), 'utf8');

    it.skipIf(!hasScript)('it is stopped as by SIGTERM, and tells what it has copied', async () => {
      const go = hold();
      const close = await startOnTerminal('exec');
      close();
      await expect.poll(list).toContain(`${source.host}/team/app:1.1`);
      // What is let go while its client seems to be there arrives.
      await expect.poll(() => front.find('PUT', /manifests\/1\.2/).every(({ isOver }) => isOver)).toBe(true);
      front.setFaults([]);
      go();
      expect((await place.run(['sync'])).stdout).toContain('3 tags: 1 copied, 2 unchanged');
    });

    it.skipIf(!hasScript)('goes on in a session of its own', async () => {
      const go = hold();
      const close = await startOnTerminal('exec setsid --wait');
      close();
      go();
      await expect.poll(list).toContain(`${source.host}/team/app:1.2`);
      expect(copied()).toEqual(tags);
    });

    it('hears of it and goes on where it had none, as with nohup', async () => {
      const go = hold();
      const { child, ended } = place.start(['sync']);
      await expect.poll(() => front.find('PUT', /manifests\/1\.2/).length).toBe(1);
      child.kill('SIGHUP');
      go();
      expect((await ended).code).toBe(0);
      expect(copied()).toEqual(tags);
    });
  });
});
