import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { OCI_MANIFEST } from '../../core/model/media-types.ts';
import { pushImage, pushMultiArch } from '../../testing/images.ts';
import { type BetweenRegistries, deployBetweenRegistries, until } from '../support/aws-host/between-registries.ts';
import { type Fault, serverError, throttled } from '../support/faults.ts';
import { toolsReady } from '../support/tools.ts';

/** Each test has a rule of its own. */
const names = ['first', 'flaky', 'killed', 'unruly', 'parked', 'metered'] as const;
type Name = (typeof names)[number];

describe.skipIf(!toolsReady('docker-registry'))('the deployed stack between two registries', () => {
  let stack: BetweenRegistries<Name>;

  beforeAll(async () => {
    stack = await deployBetweenRegistries(names, ['many'], ['metered']);
  });

  beforeEach(() => stack.clearFaults());

  afterAll(() => stack?.close());

  const tasksSent = () =>
    stack.host.calls
      .filter(({ function: id, operation }) => id.includes('Planner') && operation === 'SendMessageBatch')
      .flatMap(({ input }) => input.Entries as { MessageBody: string }[])
      .filter(({ MessageBody }) => MessageBody.includes('"destinations"')).length;

  it('copies all in the first run, sends no task in the second, and one for a new tag', async () => {
    for (const tag of ['1', '2', '3']) await pushImage(stack.at('first'), { seed: tag, tag });
    await pushMultiArch(stack.at('first'), { seed: 'all', tag: 'all', platforms: ['linux/amd64', 'linux/arm64'] });
    const first = await stack.start('first');
    expect((await stack.ended(first)).counts).toMatchObject({ planned: 4, copied: 4, failed: 0 });
    expect(await stack.audit(first, 4)).toEqual([]);
    expect(await stack.auditCopies('first')).toEqual([]);

    let before = tasksSent();
    const second = await stack.start('first');
    expect((await stack.ended(second)).counts).toMatchObject({ planned: 4, copied: 0, unchanged: 4 });
    expect(await stack.audit(second, 4)).toEqual([]);
    expect(tasksSent() - before).toBe(0);

    await pushImage(stack.at('first'), { seed: 'new', tag: 'new' });
    before = tasksSent();
    const third = await stack.start('first');
    expect((await stack.ended(third)).counts).toMatchObject({ planned: 5, copied: 1, unchanged: 4 });
    expect(await stack.audit(third, 5)).toEqual([]);
    expect(tasksSent() - before).toBe(1);
    expect(await stack.auditCopies('first')).toEqual([]);
  });

  it('gets through where one request in ten fails', async () => {
    const tags = ['1', '2', '3', '4', '5', '6'];
    for (const tag of tags) {
      await pushMultiArch(stack.at('flaky'), { seed: `flaky ${tag}`, tag, platforms: ['linux/amd64', 'linux/arm64'] });
    }
    const faults: Fault[] = [{ when: { path: /^\/v2\/flaky\//, probability: 0.1 }, effect: serverError() }];
    stack.source.setFaults(faults);
    stack.destination.setFaults(faults);
    const run = await stack.start('flaky');
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 6, copied: 6 });
    const spoilt = [...stack.source.requests, ...stack.destination.requests].filter(
      ({ effects }) => effects.length > 0,
    );
    expect(spoilt.length).toBeGreaterThan(5);
    expect(await stack.audit(run, 6)).toEqual([]);
    expect(await stack.auditCopies('flaky')).toEqual([]);
  });

  it('copies with another copier what one was killed over, in the middle of a layer', async () => {
    await pushImage(stack.at('killed'), { seed: 'killed', tag: '1', layers: [{ seed: 'large', bytes: 4_000_000 }] });
    const layer = { method: 'GET', path: /^\/v2\/killed\/app\/blobs\// };
    stack.source.setFaults([{ when: layer, effect: { kind: 'drip', bytes: 100_000, everyMs: 20 } }]);
    const { host } = stack;
    const run = await stack.start('killed');
    await until(() => stack.source.find('GET', layer.path).some(({ responseBytes }) => responseBytes > 1_000_000));
    expect(await host.kill('Copier/Function')).toBe(1);
    stack.source.setFaults([]);
    // The lease of the one that was killed.
    host.advance(61_000);
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 1, copied: 1 });
    expect(host.invocations.at(-1)).toBeDefined();
    expect(host.invocations.filter(({ answer }) => !answer.ok).map(({ answer }) => answer)).toEqual([
      { ok: false, type: 'Runtime.ExitError', message: expect.any(String) },
    ]);
    expect(await stack.audit(run, 1)).toEqual([]);
    expect(await stack.auditCopies('killed')).toEqual([]);
  });

  it('does the same with messages that come twice and in any order', async () => {
    const { host } = stack;
    const tags = Array.from({ length: 12 }, (_, n) => `t${n}`);
    for (const tag of tags) await pushImage(stack.at('unruly'), { seed: `unruly ${tag}`, tag });
    const setUnruly = (unruly: boolean) => {
      for (const queue of ['Tasks/Queue', 'Plans/Queue']) host.mapping(queue).unruly = unruly;
    };
    setUnruly(true);
    onTestFinished(() => setUnruly(false));
    const before = host.invocations.length;
    const run = await stack.start('unruly');
    const { counts } = await stack.ended(run);
    // Doubles of what is done with come after the end, too.
    await host.settle();
    expect(counts).toMatchObject({ planned: 12, copied: 12, unchanged: 0 });
    const copiers = host.invocations.slice(before).filter(({ function: id }) => id.includes('Copier'));
    expect(copiers.length).toBeGreaterThan(12);
    expect(await stack.audit(run, 12)).toEqual([]);
    expect(await stack.auditCopies('unruly')).toEqual([]);
  });

  it('leaves a registry alone that asked for it, and loses nothing over it', async () => {
    const { host } = stack;
    for (const tag of ['1', '2', '3', '4']) await pushImage(stack.at('parked'), { seed: `parked ${tag}`, tag });
    const reads = { method: 'GET', path: /^\/v2\/parked\/app\/manifests\// };
    stack.source.setFaults([{ when: reads, effect: throttled(30) }]);
    const before = host.invocations.length;
    const run = await stack.start('parked');
    await until(() => host.invocations.length > before + 20);
    // One of each copier that worked before the first had heard of it.
    expect(stack.source.find('GET', reads.path).length).toBeLessThanOrEqual(3);
    expect(host.queue('Tasks/DeadLetters').bodies()).toEqual([]);
    stack.source.setFaults([]);
    host.advance(31_000);
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 4, copied: 4 });
    expect(await stack.audit(run, 4)).toEqual([]);
    expect(await stack.auditCopies('parked')).toEqual([]);
  });

  it('counts what a rule with a budget pulls, and notes what a registry says of its quota', async () => {
    const { host } = stack;
    for (const tag of ['1', '2']) await pushImage(stack.at('metered'), { seed: `metered ${tag}`, tag });
    const quota = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '90;w=21600' };
    stack.source.setFaults([{ effect: { kind: 'headers', headers: quota } }]);
    const before = host.calls.length;
    const run = await stack.start('metered');
    expect((await stack.ended(run)).counts).toMatchObject({ planned: 2, copied: 2, failed: 0 });
    expect(await stack.audit(run, 2)).toEqual([]);
    const written = host.calls
      .slice(before)
      .flatMap(({ operation, keys }) => (operation === 'PutItem' ? [keys['dynamodb:LeadingKeys'] ?? []].flat() : []));
    expect(written).toEqual(expect.arrayContaining(['pulls', 'quotas']));
    expect(await stack.auditCopies('metered')).toEqual([]);
  });

  it('finds repositories below a path, and deletes there what is gone', async () => {
    const { url } = stack.at('first');
    for (const name of ['a', 'b']) {
      for (const tag of ['1', '2'])
        await pushImage({ url, repository: `many/${name}` }, { seed: `${name} ${tag}`, tag });
    }
    const first = await stack.start('many');
    expect(await stack.ended(first)).toMatchObject({
      rules: { total: 3, expanded: 3 },
      counts: { planned: 4, copied: 4 },
    });
    const { digest } = await pushImage({ url, repository: 'many/c' }, { seed: 'c', tag: '1' });
    const gone = await fetch(`${url}/v2/many/a/manifests/2`, { headers: { accept: OCI_MANIFEST } });
    const deleted = gone.headers.get('docker-content-digest');
    await fetch(`${url}/v2/many/a/manifests/${deleted}`, { method: 'DELETE' });
    const second = await stack.start('many');
    expect(await stack.ended(second)).toMatchObject({
      rules: { total: 4, expanded: 4 },
      counts: { planned: 5, copied: 1, deleted: 1, unchanged: 3, failed: 0 },
    });
    expect(await stack.audit(second, 5)).toEqual([]);
    expect(await stack.outcomes(second)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ result: 'copied', destinationDigest: digest }),
        expect.objectContaining({ result: 'deleted', destinationDigest: deleted }),
      ]),
    );
    const third = await stack.start('many');
    expect((await stack.ended(third)).counts).toMatchObject({ planned: 4, copied: 0, deleted: 0, unchanged: 4 });
  });

  it('never asks for what its roles may not do', () => {
    expect(stack.host.permissions.denied()).toEqual([]);
  });
});
