import { describe, expect, it, type TestContext } from 'vitest';
import type { TranshipProps } from '../../infra/props.ts';
import { pushImage } from '../../testing/images.ts';
import { startRegistry } from '../../testing/registry/server.ts';
import { auditCopies, type Place } from '../support/aws-host/audit.ts';
import { until } from '../support/aws-host/between-registries.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';
import { openLongWorkers, outlive } from '../support/aws-host/long-workers.ts';
import type { Template } from '../support/aws-host/template.ts';
import { startDistribution } from '../support/distribution.ts';
import { startFaultyRegistry } from '../support/faulty-registry.ts';
import { toolsReady } from '../support/tools.ts';

/** What 15 minutes are here, and what the copier works of them. */
const LIMIT_SECONDS = 4;
const WORK_MS = 3_000;
/** What the source gives of a layer in that time. */
const PORTION = 128 * 1024;
const STEPS = 16;
const CHUNK = PORTION / 8;

/** Scales the copier down: its time, the blobs that are long, and their chunks. */
function scaleDown(template: Template): void {
  for (const { Type, Properties } of Object.values(template.Resources)) {
    const { Variables } = (Properties?.Environment ?? {}) as { Variables?: Record<string, string> };
    if (Type !== 'AWS::Lambda::Function' || Variables?.TRANSHIP_BLOBS_AT_ONCE === undefined) continue;
    Object.assign(Properties ?? {}, { Timeout: LIMIT_SECONDS });
    Object.assign(Variables, {
      TRANSHIP_CHUNKED_FROM_BYTES: String(PORTION / 4),
      TRANSHIP_CHUNK_BYTES: String(CHUNK),
    });
  }
}

// The cases wait most of the time, and do so at once.
describe
  .skipIf(!toolsReady('docker-registry'))
  .concurrent('an image of layers that take longer than a function may run', () => {
    /** An image of layers of so many portions at a slow source, and the stack between it and another registry. */
    async function setUp({ onTestFinished }: TestContext, portions: number[], props: Partial<TranshipProps> = {}) {
      const closing: Array<() => Promise<unknown>> = [];
      onTestFinished(async () => {
        for (const close of closing.splice(0).reverse()) await close();
      });
      function closeLater<T extends { close(): Promise<unknown> }>(one: T): T {
        closing.push(() => one.close());
        return one;
      }
      const upstream = closeLater(await startRegistry());
      const mirror = closeLater(await startDistribution());
      const source = closeLater(await startFaultyRegistry({ upstream: upstream.url }));
      const destination = closeLater(await startFaultyRegistry({ upstream: mirror.url }));
      const layers = portions.map((portion, n) => ({ seed: `layer ${n}`, bytes: Math.round(portion * PORTION) }));
      const image = await pushImage({ url: upstream.url, repository: 'app' }, { seed: 'app', tag: '1', layers });
      const drip = { kind: 'drip', bytes: PORTION / STEPS, everyMs: WORK_MS / STEPS } as const;
      source.setFaults([{ when: { method: 'GET', path: /\/blobs\// }, effect: drip }]);
      const stack: Deployment = closeLater(
        await deploy(
          [{ name: 'long', from: `${source.host}/app`, to: [`${destination.host}/app`] }],
          // On a busy machine a copier may end before anything has moved, which is a try.
          { blobsAtOnce: 20, attempts: 20, ...props },
          { edit: scaleDown },
        ),
      );
      const login = { insecure: true };
      stack.host.putSecret('Logins/Secret', JSON.stringify({ [source.host]: login, [destination.host]: login }));
      // The leases of a copier that was killed, or on a busy machine too late to hand over, end at once here.
      const failures = () => stack.host.invocations.filter(({ answer }) => !answer.ok).length;
      let seen = 0;
      const impatience = setInterval(() => {
        if (failures() > seen) stack.host.advance(61_000);
        seen = failures();
      }, 200);
      closing.push(async () => clearInterval(impatience));
      const copiers = () => stack.host.invocations.filter(({ function: id }) => id.includes('Copier'));
      const places = [upstream, mirror].map(({ url }) => ({ url, repository: 'app' })) as [Place, Place];
      return { source, destination, stack, image, copiers, closeLater, auditAll: () => auditCopies(...places) };
    }

    it('arrives, 20 layers of 1 to 10 times the limit, and little is read twice', async (context) => {
      const portions = Array.from({ length: 20 }, (_, n) => 1 + 9 * (n / 19) ** 3);
      const { source, destination, stack, image, copiers, auditAll } = await setUp(context, portions);
      const run = await stack.start('long');
      expect((await stack.ended(run, 280_000)).counts).toMatchObject({ planned: 1, copied: 1, failed: 0 });
      expect(await stack.audit(run, 1)).toEqual([]);
      expect(await auditAll()).toEqual([]);
      expect(copiers().length).toBeGreaterThan(5);
      const total = image.layers.reduce((sum, { size }) => sum + size, 0);
      const reads = source.find('GET', /\/blobs\//);
      const read = reads.reduce((sum, { responseBytes }) => sum + responseBytes, 0);
      const sent = destination.find('PATCH', /./).reduce((sum, { requestBytes }) => sum + requestBytes, 0);
      // Of a layer that is handed over at most two chunks are read again. A copier that a busy machine let run into its limit
      // may lose what it was uploading.
      const killed = copiers().filter(({ answer }) => !answer.ok).length;
      const again = (reads.length - portions.length) * 2 * CHUNK + killed * total;
      expect(read).toBeLessThanOrEqual(total + again);
      expect(sent).toBeLessThanOrEqual(total + again);
      expect(stack.host.permissions.denied()).toEqual([]);
    }, 300_000);

    it('arrives though a copier is killed in the middle of a chunk, messages come twice and an upload is lost', async (context) => {
      const { destination, stack, copiers, auditAll } = await setUp(context, [1.2, 1.6]);
      stack.host.mapping('Tasks/Queue').unruly = true;
      destination.setFaults([
        // The fourth chunk does not end: its copier is killed.
        { when: { method: 'PATCH', hit: 4 }, effect: { kind: 'stall-request', afterBytes: 1_000 } },
        // The registry has lost the first upload that is asked for.
        { when: { method: 'GET', path: /\/blobs\/uploads\//, hit: 1 }, effect: { kind: 'answer', status: 404 } },
      ]);
      const run = await stack.start('long');
      await until(() =>
        destination
          .find('PATCH', /./)
          .some(({ requestBytes, effects }) => effects.length > 0 && requestBytes === 1_000),
      );
      expect(await stack.host.kill('Copier/Function')).toBeGreaterThan(0);
      expect((await stack.ended(run, 280_000)).counts).toMatchObject({ planned: 1, copied: 1, failed: 0 });
      await stack.host.settle();
      expect(await stack.audit(run, 1)).toEqual([]);
      expect(await auditAll()).toEqual([]);
      expect(copiers().length).toBeGreaterThan(2);
      expect(destination.find('GET', /\/blobs\/uploads\//).length).toBeGreaterThan(1);
      expect(stack.host.permissions.denied()).toEqual([]);
    }, 300_000);

    it('arrives by long workers where the destination takes no chunks, though one is stopped and one is killed', async (context) => {
      const portions = [0.3, 2, 3];
      const { source, destination, stack, image, closeLater, auditAll } = await setUp(context, portions, {
        longWorker: 'fargate',
      });
      const { host } = stack;
      destination.setFaults([
        { when: { method: 'PATCH', header: 'content-range' }, effect: { kind: 'answer', status: 416 } },
      ]);
      const longTasks = () => host.queue('LongTasks/Queue').counts();
      const run = await stack.start('long');
      await until(() => longTasks().ready === 1);
      const [waiting = ''] = host.queue('LongTasks/Queue').bodies();
      // The first copier brought the small layer, two showed that their time is too short for the others.
      expect(JSON.parse(waiting)).toMatchObject({ cutOffs: 2, failure: { code: 'timeout' } });
      expect(image.layers.slice(1).some(({ digest }) => waiting.includes(digest))).toBe(true);
      const workers = closeLater(await openLongWorkers(host));
      const reading = (count: number) => until(() => source.find('GET', /\/blobs\//).length >= count);

      let reads = source.find('GET', /\/blobs\//).length;
      const stopped = workers.startContainer();
      await reading(reads + 2);
      stopped.child.kill('SIGTERM');
      expect(await stopped.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('goes back to its queue') });
      expect(host.queue('LongTasks/Queue').bodies()).toEqual([waiting]);

      reads = source.find('GET', /\/blobs\//).length;
      // One that polls for no more, since what SQS gives to the poll of a dead worker stays hidden.
      const killed = workers.startCommand('--proc', '1');
      await reading(reads + 1);
      killed.child.kill('SIGKILL');
      await killed.ended;
      await outlive(host, 'LongTasks/Queue');

      const last = workers.startCommand('--json');
      expect((await stack.ended(run, 280_000)).counts).toMatchObject({ planned: 1, copied: 1, failed: 0 });
      await until(() => longTasks().inFlight === 0);
      last.child.kill('SIGTERM');
      const { code, stdout } = await last.ended;
      expect([code, stdout.split('\n').filter((line) => line.includes('"outcome"')).length]).toEqual([0, 1]);
      await host.settle();
      expect(longTasks()).toEqual({ ready: 0, delayed: 0, inFlight: 0 });
      expect(await stack.audit(run, 1)).toEqual([]);
      expect(await auditAll()).toEqual([]);
      expect(host.permissions.denied()).toEqual([]);
    }, 300_000);
  });
