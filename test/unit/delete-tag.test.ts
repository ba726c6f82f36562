import { describe, expect, it } from 'vitest';
import { deleteTag } from '../../core/registry/delete-tag.ts';
import { createEcrImages, type EcrCalls } from '../../core/registry/vendors/ecr-images.ts';
import { ociError, type ScriptedAnswer, scriptedRegistry, testClient } from '../support/scripted-registry.ts';

const digest = `sha256:${'a'.repeat(64)}`;

describe('a tag of private ECR', () => {
  const registry = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
  const target = { registry, repository: 'team/app', tag: '1' };

  function ecr(failureCode?: string) {
    const sent: Array<Parameters<EcrCalls['remove']>[1]> = [];
    const ecrImages = createEcrImages({
      takes: async () => true,
      list: async () => ({}),
      describe: async () => ({}),
      async remove(_, input) {
        sent.push(input);
        return { failures: failureCode === undefined ? [] : [{ failureCode, failureReason: 'because' }] };
      },
    });
    return { sent, client: testClient({ ecrImages }) };
  }

  it.each([
    [undefined, 'deleted'],
    ['ImageNotFound', 'absent'],
    ['ImageReferencedByManifestList', 'needed'],
  ])('is deleted by its own API, and the word %s understood', async (failureCode, end) => {
    const { sent, client } = ecr(failureCode);
    await using _ = client;
    expect(await deleteTag(client, target, digest)).toBe(end);
    expect(sent).toEqual([{ registryId: '123456789012', repositoryName: 'team/app', imageIds: [{ imageTag: '1' }] }]);
  });

  it('fails with the reason for which it is refused', async () => {
    await using client = ecr('KmsError').client;
    await expect(deleteTag(client, target, digest)).rejects.toMatchObject({ class: 'permanent', code: 'refused' });
  });
});

describe('a registry that is told to delete a tag', () => {
  it.each<[string, ScriptedAnswer, string]>([
    ['has done so', { status: 202 }, 'deleted'],
    ['does not have it', ociError(404, 'MANIFEST_UNKNOWN'), 'absent'],
    ['forbids it', ociError(403, 'DENIED'), 'denied'],
    ['cannot now', ociError(503, 'UNAVAILABLE'), 'server-error'],
    ['knows no such path', { status: 404, body: '404 page not found' }, 'unsupported'],
    ['deletes nothing', ociError(405, 'UNSUPPORTED'), 'unsupported'],
  ])('%s', async (_what, answer, end) => {
    await using registry = await scriptedRegistry(({ method }) => (method === 'DELETE' ? answer : undefined));
    await using client = testClient();
    const target = { registry: registry.host, repository: 'team/app', tag: '1' };
    const said = await deleteTag(client, target, digest).catch(({ code }) => code);
    expect(said).toBe(end);
    // Whatever it is, nothing is written.
    expect(registry.requests.filter(({ method }) => method === 'PUT' || method === 'POST')).toEqual([]);
  });
});
