import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { type Deployment, deploy } from '../support/aws-host/deployment.ts';

const tagCount = 2500;

describe('the planner of the deployed stack', () => {
  let registry: EmbeddedRegistry;
  let stack: Deployment;

  beforeAll(async () => {
    registry = await startRegistry();
    const { host } = registry;
    stack = await deploy([{ name: 'large', from: `${host}/large/app`, to: [`${host}/copies/large`] }]);
    stack.host.putSecret('Logins/Secret', JSON.stringify({ [host]: { insecure: true } }));
  });

  afterAll(async () => {
    await stack?.close();
    await registry?.close();
  });

  it('is killed half-way through 2,500 tags, and none is lost or counted twice', async () => {
    const { host } = stack;
    const [from, to] = ['large/app', 'copies/large'];
    const old = await pushImage({ url: registry.url, repository: from }, { seed: 'old' });
    await pushImage({ url: registry.url, repository: to }, { seed: 'old' });
    const renewed = await pushImage({ url: registry.url, repository: from }, { seed: 'renewed' });
    const tags = Array.from({ length: tagCount }, (_, n) => `t${String(n).padStart(4, '0')}`);
    for (const name of [from, to])
      for (const tag of tags) registry.content.putManifest(name, tag, old.mediaType, old.bytes);
    const first = await stack.start('large');
    expect((await stack.ended(first)).counts).toMatchObject({ planned: tagCount, unchanged: tagCount });
    expect(await stack.audit(first, tagCount)).toEqual([]);
    const changed = tags.filter((_, n) => n % 100 === 50);
    for (const tag of changed) registry.content.putManifest(from, tag, renewed.mediaType, renewed.bytes);
    let pages = 0;
    let killed = 0;
    host.onCall(async ({ function: id, operation, input }) => {
      if (!id.includes('Planner')) return;
      const text = JSON.stringify(input);
      if (operation === 'PutItem' && text.includes('"page#')) pages += 1;
      // Some tasks of the third page are sent, and the page is not recorded.
      if (operation === 'SendMessageBatch' && text.includes('destinations') && pages === 2 && killed === 0) {
        killed = await host.kill('Planner/Function');
      }
    });
    const second = await stack.start('large');
    const { counts } = await stack.ended(second);
    host.onCall(undefined);
    expect(killed).toBeGreaterThan(0);
    expect(counts).toMatchObject({ planned: tagCount, unchanged: tagCount - changed.length, copied: changed.length });
    expect(await stack.audit(second, tagCount)).toEqual([]);
    const digestAt = (name: string, tag: string) => registry.content.manifest(name, tag)?.digest;
    expect(tags.filter((tag) => digestAt(from, tag) !== digestAt(to, tag))).toEqual([]);
    expect(host.permissions.denied()).toEqual([]);
  });
});
