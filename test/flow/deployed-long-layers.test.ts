import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { auditCopies } from '../support/aws-host/audit.ts';
import { until } from '../support/aws-host/between-registries.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';
import { openLongWorkers, outlive } from '../support/aws-host/long-workers.ts';
import type { Template } from '../support/aws-host/template.ts';
import { type Distribution, startDistribution } from '../support/distribution.ts';
import type { WireRequest } from '../support/faults.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';
import { toolsReady } from '../support/tools.ts';

/** What the source gives of a layer in the 15 minutes of a copier. Then hardly anything comes, until that time is over. */
const PORTION = 128 * 1024;
const CHUNK = PORTION / 4;

const names = ['large', 'unlucky', 'unchunked'] as const;
type Name = (typeof names)[number];

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

/** Scales down which blobs are long, and their chunks. */
function scaleDown(template: Template): void {
  for (const { Type, Properties } of Object.values(template.Resources)) {
    const { Variables } = (Properties?.Environment ?? {}) as { Variables?: Record<string, string> };
    if (Type !== 'AWS::Lambda::Function' || Variables?.TRANSHIP_BLOBS_AT_ONCE === undefined) continue;
    Object.assign(Variables, { TRANSHIP_CHUNKED_FROM_BYTES: String(CHUNK), TRANSHIP_CHUNK_BYTES: String(CHUNK) });
  }
}

describe.skipIf(!toolsReady('docker-registry'))('an image of layers that take longer than a function may run', () => {
  let upstream: EmbeddedRegistry;
  let mirror: Distribution;
  let source: FaultyRegistry;
  let destination: FaultyRegistry;
  let stack: Deployment;

  beforeAll(async () => {
    [upstream, mirror] = await Promise.all([startRegistry(), startDistribution()]);
    source = await startFaultyRegistry({ upstream: upstream.url });
    destination = await startFaultyRegistry({ upstream: mirror.url });
    stack = await deploy(
      names.map((name) => ({ name, from: `${source.host}/${name}`, to: [`${destination.host}/${name}`] })),
      // On a busy machine a copier may end before anything has moved, which is a try.
      { blobsAtOnce: 20, attempts: 20, longWorker: 'fargate' },
      { edit: scaleDown },
    );
    const login = { insecure: true };
    stack.host.putSecret('Logins/Secret', JSON.stringify({ [source.host]: login, [destination.host]: login }));
  });

  afterAll(async () => {
    await stack?.close();
    await Promise.all([source, destination, upstream, mirror].map((one) => one?.close()));
  });

  /** An image of layers of so many portions, at a source that gives one of each to whoever reads it. */
  async function setUp(name: Name, portions: number[]) {
    const layers = portions.map((portion, n) => ({ seed: `${name} ${n}`, bytes: Math.round(portion * PORTION) }));
    const image = await pushImage({ url: upstream.url, repository: name }, { seed: name, tag: '1', layers });
    const slow = { kind: 'drip', afterBytes: PORTION, bytes: 1, everyMs: 50 } as const;
    source.setFaults([{ when: { method: 'GET', path: /\/blobs\// }, effect: slow }]);
    destination.setFaults([]);
    const reads = () => source.find('GET', new RegExp(`^/v2/${name}/blobs/`));
    const chunks = () =>
      destination
        .find('PATCH', new RegExp(`^/v2/${name}/blobs/`))
        .filter(({ headers }) => headers['content-range'] !== undefined);
    const sizes = new Map([image.config, ...image.layers].map(({ digest, size }) => [digest as string, size]));
    const copiers = () => stack.host.invocations.filter(({ function: id }) => id.includes('Copier'));
    const before = copiers().length;

    const digestOf = ({ url }: WireRequest) => url.split('/').at(-1) ?? '';
    const beginOf = ({ headers }: WireRequest) => Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
    /** Whether the source has given of a blob all that it gives to one who reads it. */
    const isGiven = (read: WireRequest) =>
      read.responseBytes >= Math.min(PORTION, (sizes.get(digestOf(read)) ?? 0) - beginOf(read));
    /** Whether the destination has what was read of the layers; where it takes no chunks, it has what it will have. */
    function isSent(): boolean {
      if (chunks().some(({ isOver }) => !isOver)) return false;
      if (chunks().some(({ status }) => status === 416)) return true;
      const ends = new Map<string, number>();
      for (const read of reads()) {
        const given = Math.min(PORTION, read.responseBytes);
        if (digestOf(read) !== image.config.digest) ends.set(digestOf(read), beginOf(read) + given);
      }
      return sum(chunks().map(({ requestBytes }) => requestBytes)) >= sum([...ends.values()]);
    }

    /** Ends the time of copiers that wait for more in vain, until something holds. */
    const passTime = (holds: () => boolean) =>
      until(() => {
        const reading = reads().filter(({ isOver }) => !isOver);
        if (reading.length > 0 && reading.every(isGiven) && isSent()) stack.host.hurry('Copier/Function');
        return holds();
      });
    /** Lets the run come to its end. @returns its counts */
    async function ended(run: string) {
      await passTime(() => stack.hasEnded(run));
      return (await stack.ended(run)).counts;
    }

    return {
      image,
      reads,
      chunks,
      passTime,
      ended,
      copiers: () => copiers().slice(before),
      audit: () => auditCopies({ url: upstream.url, repository: name }, { url: mirror.url, repository: name }),
    };
  }

  it('arrives, layers of 1 to 10 times the limit, and little is read twice', async () => {
    const portions = Array.from({ length: 8 }, (_, n) => 1 + 9 * (n / 7) ** 3);
    const { image, reads, chunks, ended, copiers, audit } = await setUp('large', portions);
    const run = await stack.start('large');
    expect(await ended(run)).toMatchObject({ planned: 1, copied: 1, failed: 0 });
    expect(await stack.audit(run, 1)).toEqual([]);
    expect(await audit()).toEqual([]);
    expect(copiers().length).toBeGreaterThan(10);
    const total = sum(image.layers.map(({ size }) => size));
    const read = sum(reads().map(({ responseBytes }) => responseBytes));
    const sent = sum(chunks().map(({ requestBytes }) => requestBytes));
    expect(sent).toBe(total);
    // Of each layer that is handed over at most the chunk that was not whole is read again.
    expect(read).toBeLessThanOrEqual(total + image.config.size + (reads().length - 1 - portions.length) * CHUNK);
    expect(stack.host.permissions.denied()).toEqual([]);
  });

  it('arrives though a copier is killed in the middle of a chunk, messages come twice and an upload is lost', async () => {
    const { chunks, ended, copiers, audit } = await setUp('unlucky', [1.2, 1.6]);
    const { host } = stack;
    host.mapping('Tasks/Queue').unruly = true;
    onTestFinished(() => {
      host.mapping('Tasks/Queue').unruly = false;
    });
    destination.setFaults([
      // The fourth chunk does not end: its copier is killed.
      { when: { method: 'PATCH', hit: 4 }, effect: { kind: 'stall-request', afterBytes: 1_000 } },
      // The registry has lost the first upload that is asked for.
      { when: { method: 'GET', path: /\/blobs\/uploads\//, hit: 1 }, effect: { kind: 'answer', status: 404 } },
    ]);
    const run = await stack.start('unlucky');
    await until(() => chunks().some(({ requestBytes, effects }) => effects.length > 0 && requestBytes === 1_000));
    expect(await host.kill('Copier/Function')).toBeGreaterThan(0);
    // A task that waits for another copier goes back as a new message, so that those that come twice would grow without end.
    host.mapping('Tasks/Queue').unruly = false;
    // The leases of a copier that was killed end.
    host.advance(61_000);
    expect(await ended(run)).toMatchObject({ planned: 1, copied: 1, failed: 0 });
    await host.settle();
    expect(await stack.audit(run, 1)).toEqual([]);
    expect(await audit()).toEqual([]);
    expect(copiers().length).toBeGreaterThan(2);
    expect(destination.find('GET', /^\/v2\/unlucky\/blobs\/uploads\//).length).toBeGreaterThan(1);
    expect(host.permissions.denied()).toEqual([]);
  });

  it('arrives by long workers where the destination takes no chunks, though one is stopped and one is killed', async () => {
    const { image, reads, passTime, audit } = await setUp('unchunked', [0.3, 2, 3]);
    const { host } = stack;
    destination.setFaults([
      { when: { method: 'PATCH', header: 'content-range' }, effect: { kind: 'answer', status: 416 } },
    ]);
    const longTasks = () => host.queue('LongTasks/Queue').counts();
    const run = await stack.start('unchunked');
    await passTime(() => longTasks().ready === 1);
    const [waiting = ''] = host.queue('LongTasks/Queue').bodies();
    // The first copier brought the small layer, two showed that their time is too short for the others.
    expect(JSON.parse(waiting)).toMatchObject({ cutOffs: 2, failure: { code: 'timeout' } });
    expect(image.layers.slice(1).some(({ digest }) => waiting.includes(digest))).toBe(true);
    const workers = await openLongWorkers(host);
    onTestFinished(() => workers.close());
    const reading = (count: number) => until(() => reads().length >= count);

    let before = reads().length;
    const stopped = workers.startContainer();
    await reading(before + 2);
    stopped.child.kill('SIGTERM');
    expect(await stopped.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('goes back to its queue') });
    expect(host.queue('LongTasks/Queue').bodies()).toEqual([waiting]);

    before = reads().length;
    // One that polls for no more, since what SQS gives to the poll of a dead worker stays hidden.
    const killed = workers.startCommand('--proc', '1');
    await reading(before + 1);
    killed.child.kill('SIGKILL');
    await killed.ended;
    await outlive(host, 'LongTasks/Queue');

    source.setFaults([]);
    const last = workers.startCommand('--json');
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 1, copied: 1, failed: 0 });
    await until(() => longTasks().inFlight === 0);
    last.child.kill('SIGTERM');
    const { code, stdout } = await last.ended;
    expect([code, stdout.split('\n').filter((line) => line.includes('"outcome"')).length]).toEqual([0, 1]);
    await host.settle();
    expect(longTasks()).toEqual({ ready: 0, delayed: 0, inFlight: 0 });
    expect(await stack.audit(run, 1)).toEqual([]);
    expect(await audit()).toEqual([]);
    expect(host.permissions.denied()).toEqual([]);
  });
});
