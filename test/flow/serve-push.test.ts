import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { urlToken } from '../support/announce.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { type Distribution, startDistribution } from '../support/distribution.ts';
import { startFaultyRegistry } from '../support/faulty-registry.ts';
import { type Serving, startRelay, startServe } from '../support/serve.ts';
import { toolsReady } from '../support/tools.ts';

const tagsAt = ({ content }: EmbeddedRegistry, repository: string) =>
  content.has(repository) ? content.tags(repository) : [];

/** Outcomes by trigger and result, whatever their registries. */
async function outcomesOf(serving: Serving | undefined): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const [labels, count] of Object.entries((await serving?.metric('tranship_outcomes_total')) ?? {})) {
    const key = labels.replace(/,source_registry="[^"]+",destination_registry="[^"]+"$/, '');
    sums[key] = (sums[key] ?? 0) + count;
  }
  return sums;
}

/** What `tranship webhooks` says is to be entered at the registry. */
async function printedNotifications(baseUrl: string): Promise<unknown> {
  const place = openWorkplace();
  place.write('webhooks.yaml', `cncf: { dialect: distribution, token: ${urlToken}, allow: [registry.example.com] }\n`);
  const { stdout } = await place.run(['webhooks', '--base-url', baseUrl]);
  place.remove();
  const printed = stdout.split('\n').filter((line) => line.startsWith('    '));
  return parse(printed.join('\n')).notifications;
}

describe.skipIf(!toolsReady('docker-registry'))('a tag pushed to CNCF distribution', () => {
  let source: Distribution;
  let destinations: [EmbeddedRegistry, EmbeddedRegistry];
  let relay: Awaited<ReturnType<typeof startRelay>>;
  let place: Workplace;

  beforeAll(async () => {
    relay = await startRelay();
    [source, ...destinations] = await Promise.all([
      startDistribution({ notifications: await printedNotifications(relay.url) }),
      startRegistry(),
      startRegistry(),
    ]);
    place = openWorkplace([source.host, ...destinations.map(({ host }) => host)]);
  });
  afterAll(async () => {
    place?.remove();
    await Promise.all([source?.close(), relay?.close(), ...(destinations ?? []).map((one) => one.close())]);
  });

  it('is at its two destinations, once, and serve stops with 0', async () => {
    const [first, second] = destinations;
    place.write('images.yaml', `${source.host}/team/app: [${first.host}/mirror/app, ${second.host}/copy/app]\n`);
    place.write('webhooks.yaml', `cncf: { dialect: distribution, token: ${urlToken}, allow: ["${source.host}"] }\n`);
    const serving = await startServe(place);
    relay.to(serving.url);
    const pushed = await pushImage({ url: source.url, repository: 'team/app' }, { seed: 'one', tag: '1.0' });
    await expect.poll(() => [tagsAt(first, 'mirror/app'), tagsAt(second, 'copy/app')]).toEqual([['1.0'], ['1.0']]);
    expect(first.content.manifest('mirror/app', '1.0')?.digest).toBe(pushed.digest);
    await expect.poll(() => outcomesOf(serving)).toEqual({ 'trigger="push",result="copied"': 2 });
    expect((await serving.metric('tranship_push_to_present_seconds_count'))['']).toBe(2);
    // Neither blobs nor what the copy pulls: the registry was told to keep them to itself.
    expect(await serving.metric('tranship_deliveries_total')).toEqual({ 'source="cncf",status="200"': 1 });
    await expect.poll(() => serving.metric('tranship_queue_messages')).toEqual({ '': 0 });

    const { code, stderr } = await serving.kill('SIGTERM');
    expect(code, stderr).toBe(0);
    const [run] = jsonLines((await place.run(['status', '--json'])).stdout);
    expect(run).toMatchObject({ type: 'run', trigger: 'push', state: 'done', planned: 2, copied: 2, failed: 0 });
  });
});

describe.skipIf(!toolsReady('docker-registry'))('a copy that is announced itself', () => {
  it('goes on to the next mirror, and does not go round', async () => {
    const relay = await startRelay();
    const notifyUrl = `${relay.url}/hooks/cncf/${urlToken}`;
    const [source, mirror] = [await startDistribution({ notifyUrl }), await startDistribution({ notifyUrl })];
    const last = await startRegistry();
    const place = openWorkplace([source.host, mirror.host, last.host]);
    place.write(
      'images.yaml',
      `${source.host}/team/app: ${mirror.host}/team/app
${mirror.host}/team/app: ["${source.host}/team/app", "${last.host}/team/app"]
`,
    );
    const allow = `["${source.host}", "${mirror.host}"]`;
    place.write('webhooks.yaml', `cncf: { dialect: distribution, token: ${urlToken}, allow: ${allow} }\n`);
    const serving = await startServe(place);
    relay.to(serving.url);
    const pushed = await pushImage({ url: source.url, repository: 'team/app' }, { seed: 'one', tag: '1.0' });
    await expect.poll(() => tagsAt(last, 'team/app')).toEqual(['1.0']);
    expect(last.content.manifest('team/app', '1.0')?.digest).toBe(pushed.digest);
    const outcomes = { 'trigger="push",result="copied"': 2, 'trigger="push",result="unchanged"': 1 };
    await expect.poll(() => outcomesOf(serving)).toEqual(outcomes);
    await expect.poll(() => serving.metric('tranship_queue_messages')).toEqual({ '': 0 });
    expect(await outcomesOf(serving)).toEqual(outcomes);
    expect((await serving.kill('SIGTERM')).code).toBe(0);
    place.remove();
    await Promise.all([relay.close(), source.close(), mirror.close(), last.close()]);
  });
});

describe('pushed tags and schedules', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let place: Workplace;
  let serving: Serving | undefined;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    for (const tag of ['1.0', '1.1']) await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag });
  });
  afterAll(async () => {
    await serving?.kill('SIGKILL');
    place?.remove();
    await Promise.all([source.close(), destination.close()]);
  });

  const plainSource = () => `ci: { dialect: plain, token: ${urlToken}, allow: ["${source.host}"] }\n`;

  it('do not wait for one another, and no schedule overtakes itself', async () => {
    const stuck = await startFaultyRegistry({
      upstream: source.url,
      faults: [{ when: { path: /tags\/list/ }, effect: { kind: 'stall', afterBytes: 1 } }],
    });
    place = openWorkplace([source.host, destination.host, stuck.host]);
    place.write(
      'tranship.yaml',
      `version: 1
rules:
  - { name: stuck, from: "${stuck.host}/team/app", to: "${destination.host}/stuck/app", schedule: "* * * * * *" }
  - { name: quick, from: "${source.host}/team/app", to: "${destination.host}/quick/app" }
`,
    );
    place.write('webhooks.yaml', plainSource());
    serving = await startServe(place);
    const skipped = () => serving!.metric('tranship_schedule_skipped_total');
    const listed = () => stuck.find('GET', /tags\/list/).length;
    await expect.poll(listed).toBe(1);
    await expect.poll(skipped).toEqual({ 'trigger="schedule * * * * * *"': expect.any(Number) });
    expect(listed()).toBe(1);

    const answer = await serving.post('ci', { image: `${source.host}/team/app:1.1` });
    expect([answer.status, await answer.json()]).toEqual([200, { accepted: 1, ignored: 0 }]);
    await expect.poll(() => tagsAt(destination, 'quick/app')).toEqual(['1.1']);

    const { code, stderr } = await serving.kill('SIGTERM');
    expect(code, stderr).toBe(0);
    const runs = jsonLines((await place.run(['status', '--json'])).stdout).filter(({ type }) => type === 'run');
    expect(runs.map(({ trigger, state }) => [trigger, state]).sort()).toEqual([
      ['push', 'done'],
      ['schedule * * * * * *', 'interrupted'],
    ]);
    await stuck.close();
    place.remove();
  });

  it('syncs on the schedule of the command line, and tells of it in JSON lines', async () => {
    place = openWorkplace([source.host, destination.host]);
    place.write('images.yaml', `${source.host}/team/app: ${destination.host}/timed/app\n`);
    const flags = ['--schedule', '* * * * * *', '--json'];
    const started = place.start(['serve', '--listen', '127.0.0.1:0', ...flags]);
    let lines: Array<Record<string, unknown>> = [];
    let text = '';
    started.child.stdout?.on('data', (part: string) => {
      text += part;
      lines = jsonLines(text.slice(0, text.lastIndexOf('\n') + 1)).filter(({ type }) => type === 'run');
    });
    await expect.poll(() => lines.length).toBeGreaterThan(1);
    started.child.kill('SIGTERM');
    const { code, stdout } = await started.ended;
    expect(code).toBe(0);
    const trigger = 'schedule * * * * * *';
    expect(lines[0]).toMatchObject({ trigger, state: 'done', planned: 2, copied: 2 });
    expect(lines[1]).toMatchObject({ trigger, state: 'done', planned: 2, unchanged: 2 });
    expect(jsonLines(stdout).at(-1)).toMatchObject({ type: 'notice', message: 'stopped' });
    place.remove();
  });

  it('copies a tag that is to be seen only after it was announced, and one that moved on meanwhile', async () => {
    const [first, second] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`];
    place = openWorkplace([source.host, destination.host]);
    place.write('images.yaml', `${source.host}/late/app: ${destination.host}/late/app\n`);
    place.write('webhooks.yaml', plainSource());
    serving = await startServe(place, ['--debounce', '1500ms']);
    const announce = (tag: string, digest: string) =>
      serving!.post('ci', { image: `${source.host}/late/app:${tag}@${digest}` });
    // Its digest is known before the push: the same seed makes the same image.
    const made = await pushImage({ url: destination.url, repository: 'made/app' }, { seed: 'late', tag: 'made' });
    source.requests.length = 0;
    await announce('late', made.digest);
    await announce('moved', first);
    await announce('moved', second);
    await expect.poll(() => source.requests.length).toBeGreaterThan(1);
    expect(tagsAt(destination, 'late/app')).toEqual([]);
    const pushed = await pushImage({ url: source.url, repository: 'late/app' }, { seed: 'late', tag: 'late' });
    const moved = await pushImage({ url: source.url, repository: 'late/app' }, { seed: 'third', tag: 'moved' });
    expect(pushed.digest).toBe(made.digest);
    await expect.poll(() => tagsAt(destination, 'late/app')).toEqual(['late', 'moved']);
    expect(destination.content.manifest('late/app', 'moved')?.digest).toBe(moved.digest);
    await expect
      .poll(() => outcomesOf(serving))
      .toEqual({ 'trigger="push",result="copied"': 2, 'trigger="push",result="unchanged"': 1 });
    expect((await serving.kill('SIGTERM')).code).toBe(0);
    place.remove();
  });

  it('tries a pushed tag again that failed for the moment, as a run of its own', async () => {
    const front = await startFaultyRegistry({
      upstream: destination.url,
      faults: [{ when: { method: 'PUT', path: /manifests/ }, effect: { kind: 'answer', status: 503 } }],
    });
    place = openWorkplace([source.host, front.host]);
    place.write('images.yaml', `${source.host}/team/app: ${front.host}/again/app\n`);
    place.write('webhooks.yaml', plainSource());
    serving = await startServe(place, ['--retries', '0', '--redrive-after', '1s']);
    await serving.post('ci', { image: `${source.host}/team/app:1.0` });
    await expect.poll(() => serving!.metric('tranship_dead_letters')).toEqual({ '': 1 });
    front.setFaults([]);
    await expect.poll(() => tagsAt(destination, 'again/app')).toEqual(['1.0']);
    await expect.poll(() => serving!.metric('tranship_dead_letters')).toEqual({ '': 0 });
    expect((await serving.kill('SIGTERM')).code).toBe(0);
    const runs = jsonLines((await place.run(['status', '--json'])).stdout).filter(({ type }) => type === 'run');
    expect(runs.find(({ trigger }) => trigger === 'redrive')).toMatchObject({ state: 'done', copied: 1 });
    await front.close();
    place.remove();
  });
});
