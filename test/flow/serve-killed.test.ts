import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { urlToken } from '../support/announce.ts';
import { jsonLines, openWorkplace, type Workplace } from '../support/command.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';
import { type Serving, startServe } from '../support/serve.ts';

const TAGS = 400;
const IN_FLIGHT = 40;

describe('serve that is killed', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let front: FaultyRegistry;
  let place: Workplace;
  let serving: Serving | undefined;

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    front = await startFaultyRegistry({ upstream: destination.url });
    const repository = { url: source.url, repository: 'team/app' };
    for (let at = 0; at < TAGS; at++) await pushImage(repository, { seed: 'same', tag: `t${at}` });
    place = openWorkplace([source.host, front.host]);
    place.write('images.yaml', `${source.host}/team/app: ${front.host}/mirror/app\n`);
    place.write('webhooks.yaml', `ci: { dialect: plain, token: ${urlToken}, allow: ["${source.host}"] }\n`);
  });
  afterAll(async () => {
    await serving?.kill('SIGKILL');
    place?.remove();
    await front.close();
    await Promise.all([source.close(), destination.close()]);
  });

  const arrived = () => new Set(destination.content.has('mirror/app') ? destination.content.tags('mirror/app') : []);

  it('has every announcement on the disk that it answered with 2xx', async () => {
    serving = await startServe(place, ['--debounce', '300ms']);
    const answered = new Set<string>();
    const { post } = serving;
    let next = 0;
    let killed: Promise<unknown> | undefined;
    const send = async (): Promise<void> => {
      while (next < TAGS) {
        const tag = `t${next++}`;
        const answer = await post('ci', { image: `${source.host}/team/app:${tag}` }).catch(() => undefined);
        if (answer === undefined) return;
        if (answer.status === 200) answered.add(tag);
        // In the middle of the burst, with copies under way.
        if (arrived().size > 0 || answered.size > TAGS / 2) killed ??= serving?.kill('SIGKILL');
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, send));
    await killed;
    expect(killed).toBeDefined();
    expect(answered.size).toBeGreaterThan(0);
    expect([...answered].filter((tag) => !arrived().has(tag)).length).toBeGreaterThan(0);

    // A command in between leaves the promised work alone.
    expect((await place.run(['status'])).code).toBe(0);
    serving = await startServe(place);
    await expect.poll(() => serving?.log()).toContain('goes on with run');
    await expect.poll(() => [...answered].filter((tag) => !arrived().has(tag)), { interval: 100 }).toEqual([]);
    await expect.poll(() => serving?.metric('tranship_queue_messages')).toEqual({ '': 0 });
    expect((await serving.kill('SIGTERM')).code).toBe(0);
    const [run] = jsonLines((await place.run(['status', '--json'])).stdout);
    expect(run).toMatchObject({ trigger: 'push', state: 'done', failed: 0, deferred: 0 });
    expect(Number(run?.copied) + Number(run?.unchanged)).toBeGreaterThanOrEqual(answered.size);
  });

  it('puts back what it cannot end in time when it is stopped, stores what is announced meanwhile, and goes on with both', async () => {
    for (const tag of ['late', 'later']) {
      await pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag });
    }
    front.setFaults([{ when: { method: 'PUT', path: /uploads/ }, effect: { kind: 'stall-request', afterBytes: 10 } }]);
    front.requests.length = 0;
    serving = await startServe(place);
    await serving.post('ci', { image: `${source.host}/team/app:late` });
    await expect.poll(() => front.find('PUT', /uploads/).length).toBeGreaterThan(0);
    const { url } = serving;
    const ended = serving.kill('SIGTERM');
    await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(503);
    const answer = await serving.post('ci', { image: `${source.host}/team/app:later` });
    expect([answer.status, await answer.json()]).toEqual([200, { accepted: 1, ignored: 0 }]);
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(0);
    expect(arrived().has('late')).toBe(false);
    front.setFaults([]);
    serving = await startServe(place);
    await expect.poll(() => ['late', 'later'].every((tag) => arrived().has(tag))).toBe(true);
    expect((await serving.kill('SIGTERM')).code).toBe(0);
  });

  it('has a second one wait for the first to end, and serve then', async () => {
    const first = await startServe(place);
    const { child, ended } = place.start(['serve', '--listen', '127.0.0.1:0']);
    let said = '';
    child.stderr?.on('data', (text: string) => {
      said += text;
    });
    await expect.poll(() => said).toContain('waits for the process that serves');
    expect(said).not.toContain('listening');
    expect((await first.kill('SIGTERM')).code).toBe(0);
    await expect.poll(() => said).toContain('listening on');
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
  });
});
