import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { type Fault, type FaultCondition, serverError, unauthorized } from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';

describe('what failed', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let front: FaultyRegistry;
  let place: Workplace;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    front = await startFaultyRegistry({ upstream: destination.url });
    for (const tag of ['1.0', '1.1', '1.2']) {
      await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag });
    }
  });
  afterAll(async () => {
    await front.close();
    await Promise.all([source.close(), destination.close()]);
  });
  let target = 0;
  beforeEach(() => {
    place = openWorkplace([source.host, destination.host, front.host]);
    target += 1;
    front.setFaults([]);
    front.requests.length = 0;
    return () => place.remove();
  });

  const rules = (...selections: string[]) =>
    place.write(
      'images.yaml',
      selections.map((one) => `${source.host}/team/app:${one}: ${front.host}/try${target}/app\n`).join(''),
    );
  const put = (tag: string): FaultCondition => ({ method: 'PUT', path: new RegExp(`manifests/${tag}`) });
  const refuse = (tag: string): Fault => ({ when: put(tag), effect: unauthorized() });
  const breakDown = (tag: string): Fault => ({ when: put(tag), effect: serverError(500) });
  const json = async (args: string[]) => {
    const ended = await place.run([...args, '--json']);
    const lines = jsonLines(ended.stdout);
    return { code: ended.code, lines, last: lines.at(-1), stderr: ended.stderr };
  };
  const letters = async (...flags: string[]) =>
    (await json(['redrive', '--dry-run', ...flags])).lines.map((line) => String(line.source).split(':').at(-1));

  it('is chosen by class, code, rule and run, and is in the dead letters once', async () => {
    rules('1.0', '1.1', '1.2');
    front.setFaults([refuse('1\\.0'), breakDown('1\\.1')]);
    const first = await json(['sync', '--retries', '0']);
    expect(first).toMatchObject({ code: 1, last: { copied: 1, failed: 2 } });
    expect(await letters()).toEqual(expect.arrayContaining(['1.0', '1.1']));
    expect(await letters('--class', 'permanent')).toEqual(['1.0']);
    expect(await letters('--class', 'transient')).toEqual(['1.1']);
    expect(await letters('--code', 'unauthorized,server-error')).toHaveLength(2);
    expect(await letters('--code', 'server-error')).toEqual(['1.1']);
    expect(await letters('--rule', `${source.host}/team/app:1.0`)).toEqual(['1.0']);
    expect(await json(['redrive', '--rule', `${source.host}/team/app:1.2`])).toMatchObject({ code: 0, lines: [] });
    expect(await json(['redrive', '--rule', 'another'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no run that is remembered had a rule "another"'),
    });
    expect(await letters('--run', String(first.last?.run))).toHaveLength(2);
    expect(await json(['redrive', '--run', 'another'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no run another'),
    });

    // Failing again, by redrive or by sync, leaves one letter of each.
    const partial = await json(['redrive', '--class', 'permanent']);
    expect(partial).toMatchObject({ code: 1, last: { trigger: 'redrive', planned: 1, failed: 1 } });
    expect(await letters('--run', String(partial.last?.run))).toEqual(['1.0']);
    expect((await json(['sync', '--retries', '0'])).last).toMatchObject({ failed: 2, unchanged: 1 });
    expect((await letters()).sort()).toEqual(['1.0', '1.1']);

    // What is in step by now is noted as unchanged, not copied twice.
    front.setFaults([]);
    await pushImage({ url: destination.url, repository: `try${target}/app` }, { seed: '1.0', tag: '1.0' });
    const done = await json(['redrive']);
    expect(done).toMatchObject({ code: 0, last: { planned: 2, copied: 1, unchanged: 1, failed: 0 } });
    expect(await letters()).toEqual([]);
    expect((await json(['sync'])).last).toMatchObject({ unchanged: 3 });
  });

  it('is forgotten when a later sync brings it', async () => {
    rules('1.0');
    front.setFaults([refuse('1\\.0')]);
    await place.run(['sync']);
    front.setFaults([]);
    expect((await json(['sync'])).last).toMatchObject({ copied: 1 });
    expect(await letters()).toEqual([]);
  });

  it('is tried --retries times more when it may work next time, once where it cannot', async () => {
    rules('1.0,1.1,1.2');
    front.setFaults([refuse('1\\.0'), breakDown('1\\.1')]);
    const { lines, code } = await json(['sync', '--retries', '1', '--proc', '1']);
    expect(code).toBe(1);
    const retried = lines.filter(({ type }) => type === 'retry');
    expect(retried.map(({ source: from }) => from)).toEqual([`${source.host}/team/app:1.1`]);
    // Every first try ended before the second round.
    const kinds = lines.filter(({ type }) => type === 'outcome').map((line) => String(line.source).slice(-3));
    expect(kinds.at(-1)).toBe('1.1');
    const status = await json(['status']);
    expect(status.lines[0]).toMatchObject({ type: 'run', state: 'done', planned: 3, copied: 1, failed: 2 });
    const reasons = status.lines.slice(1).map((line) => (line.failure as { code: string }).code);
    expect(reasons.sort()).toEqual(['server-error', 'unauthorized']);
    const told = (await place.run(['status'])).stdout;
    expect(told).toContain('server-error (transient)');
    expect(told).toContain('unauthorized (permanent)');
  });

  it('is tried again where a rule could not be expanded for the moment', async () => {
    place.write(
      'images.yaml',
      `${front.host}/from${target}/app: ${destination.host}/try${target}/app\n${source.host}/team/app:1.2: ${destination.host}/try${target}/other\n`,
    );
    await pushImage({ url: destination.url, repository: `from${target}/app` }, { seed: 'listed', tag: 'v1' });
    // The client itself asks four times.
    front.setFaults([{ when: { path: /tags\/list/, hit: { from: 1, to: 4 } }, effect: serverError() }]);
    const { code, lines, last } = await json(['sync', '--retries', '1']);
    expect({ code, last }).toMatchObject({ code: 0, last: { planned: 2, copied: 2, ruleFailures: [] } });
    expect(lines.filter(({ type }) => type === 'rule-failed')).toMatchObject([{ willRetry: true }]);
  });

  it('says so, and makes no state directory, where there was no run', async () => {
    const status = await place.run(['status']);
    expect(status).toMatchObject({ code: 0, stderr: '' });
    expect(status.stdout).toContain('no run yet');
    expect(existsSync(`${place.directory}/state`)).toBe(false);
    expect(await place.run(['status', 'nonesuch'])).toMatchObject({ code: 2, stdout: '' });
    expect(await place.run(['redrive'])).toMatchObject({ code: 0, stderr: '' });
  });

  it('is told by verify, tag by tag, and mended by the next sync', async () => {
    const digest = source.content.manifest('team/app', '1.1')?.digest as string;
    place.write(
      'images.yaml',
      `${source.host}/team/app:1.0,1.2: ${front.host}/try${target}/app\n${source.host}/team/app@${digest}: ${front.host}/try${target}/pinned\n`,
    );
    expect((await json(['sync'])).last).toMatchObject({ copied: 3 });
    const at = { url: destination.url, repository: `try${target}/app` };
    await pushImage(at, { seed: 'intruder', tag: '1.0' });
    destination.content.deleteManifest(`try${target}/pinned`, digest);
    front.setFaults([{ when: { method: 'HEAD', path: /manifests\/1\.2/ }, effect: unauthorized() }]);
    const told = await json(['verify']);
    expect(told).toMatchObject({ code: 1, last: { ok: 0, differs: 1, missing: 1, unreadable: 1 } });
    const states = told.lines.filter(({ type }) => type === 'destination').map(({ state }) => state);
    expect(states.sort()).toEqual(['differs', 'missing', 'unreadable']);
    const text = await place.run(['verify']);
    for (const word of ['differs', 'missing', 'unreadable', 'unauthorized']) expect(text.stdout).toContain(word);

    front.setFaults([]);
    expect(await json(['sync'])).toMatchObject({ code: 0, last: { copied: 2, unchanged: 1 } });
    expect(await json(['verify'])).toMatchObject({ code: 0, last: { ok: 3, differs: 0, missing: 0, unreadable: 0 } });
  });
});
