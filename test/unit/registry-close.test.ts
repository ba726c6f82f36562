import { expect, it } from 'vitest';
import { closeRegistryClient } from '../../core/registry/client.ts';
import { headManifest } from '../../core/registry/manifests.ts';
import { repositoryAt, scriptedRegistry, testClient } from '../support/scripted-registry.ts';

it('closes a client although a registry has not answered its first request', { timeout: 10_000 }, async () => {
  const { promise: isAsked, resolve: asked } = Promise.withResolvers<void>();
  await using registry = await scriptedRegistry(() => {
    asked();
    return 'answered';
  });
  const client = testClient();
  const call = headManifest(client, { ...repositoryAt(registry), tag: 'v1' }).catch((error: unknown) => error);
  await isAsked;
  await closeRegistryClient(client);
  expect(await call).toMatchObject({ code: 'aborted' });
});
