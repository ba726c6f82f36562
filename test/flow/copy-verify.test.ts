import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage, pushMultiArch } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';

describe('what verify finds', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let place: Workplace;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    place = openWorkplace([source.host, destination.host]);
  });
  afterAll(async () => {
    place.remove();
    await Promise.all([source.close(), destination.close()]);
  });

  const run = async (...args: string[]) => {
    const { code, stdout } = await place.run([...args, '--json']);
    return { code, lines: jsonLines(stdout) };
  };

  it('is mended by the next sync, also where somebody put the whole image in the place of a subset', async () => {
    const at = { url: source.url, repository: 'sub/app' };
    const platforms = ['linux/amd64', 'linux/arm64'];
    const whole = await pushMultiArch(at, { seed: 'subset', tag: 'v1', platforms });
    place.write('images.yaml', `${source.host}/sub/app: ${destination.host}/sub/app\n`);
    const flags = ['--arch', 'arm64'];
    expect((await run('sync', ...flags)).code).toBe(0);
    const subset = destination.content.manifest('sub/app', 'v1')?.digest;
    expect(subset).not.toBe(whole.digest);
    expect((await run('verify', ...flags)).code).toBe(0);

    await pushMultiArch({ url: destination.url, repository: 'sub/app' }, { seed: 'subset', tag: 'v1', platforms });
    const found = await run('verify', ...flags);
    expect(found.code).toBe(1);
    expect(found.lines[0]).toMatchObject({ state: 'differs', expected: subset, actual: whole.digest });
    expect((await run('sync', ...flags)).lines.at(-1)).toMatchObject({ copied: 1 });
    expect(destination.content.manifest('sub/app', 'v1')?.digest).toBe(subset);
    expect((await run('verify', ...flags)).code).toBe(0);
  });

  it('is mended by the next sync where a tag was moved, or deleted by its digest', async () => {
    const at = { url: source.url, repository: 'moved/app' };
    const image = await pushImage(at, { seed: 'moved', tag: 'v1' });
    const pinned = `${source.host}/moved/app@${image.digest}: ${destination.host}/pinned/app\n`;
    place.write('images.yaml', `${source.host}/moved/app: ${destination.host}/moved/app\n${pinned}`);
    expect((await run('sync')).code).toBe(0);
    await pushImage({ url: destination.url, repository: 'moved/app' }, { seed: 'another', tag: 'v1' });
    destination.content.deleteManifest('pinned/app', image.digest);
    const found = await run('verify');
    expect(found.code).toBe(1);
    expect(found.lines.map(({ state }) => state)).toEqual(['differs', 'missing', undefined]);
    expect((await run('sync')).lines.at(-1)).toMatchObject({ copied: 2 });
    expect(destination.content.manifest('moved/app', 'v1')?.digest).toBe(image.digest);
    expect(destination.content.manifest('pinned/app', image.digest)).toBeDefined();
  });
});
