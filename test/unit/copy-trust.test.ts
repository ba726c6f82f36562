import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type PushedImage, pushImage, pushIndex } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { openCopying } from '../support/copying.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';

describe('what a destination says that it has', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  /** Stands before the destination, and lies. */
  let front: FaultyRegistry;
  let counter = 0;
  let repository = '';

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    front = await startFaultyRegistry({ upstream: destination.url });
  });
  afterAll(() => Promise.all([front, source, destination].map((one) => one.close())));
  beforeEach(() => {
    counter += 1;
    repository = `trust/app${counter}`;
    front.setFaults([]);
    for (const registry of [source, destination, front]) registry.requests.length = 0;
  });

  const at = () => ({ url: source.url, repository });
  const from = (tag = 'v1') => ({ host: source.host, repository, tag });
  const to = (name = repository) => ({ host: front.host, repository: name });
  const sizeOf = ({ config, layers }: PushedImage) => [config, ...layers].reduce((sum, { size }) => sum + size, 0);
  const base = { seed: 'trust base', bytes: 20_000 };

  it('is uploaded where a mount that succeeded did not bring it', async () => {
    const image = await pushImage(at(), { seed: repository, tag: 'v1', layers: [base] });
    await using copying = openCopying();
    await copying.copy(from(), [to(`${repository}/first`)]);
    const mount = { method: 'POST', path: /mount=/ };
    front.setFaults([{ when: mount, effect: { kind: 'answer', status: 201 } }]);
    const [arrival] = await copying.copy(from(), [to()]);
    expect(arrival?.error).toBeUndefined();
    expect(arrival).toMatchObject({ mounted: 2, bytes: sizeOf(image) });
    expect(destination.content.manifest(repository, 'v1')?.digest).toBe(image.digest);
  });

  it('is uploaded where HEAD goes on to tell of what was deleted', async () => {
    const image = await pushImage(at(), { seed: repository, tag: 'v1', layers: [base] });
    await using copying = openCopying();
    const head = { method: 'HEAD', path: /blobs\/sha256/ };
    front.setFaults([{ when: head, effect: { kind: 'answer', status: 200, body: 'as if' } }]);
    const [arrival] = await copying.copy(from(), [to()]);
    expect(arrival?.error).toBeUndefined();
    expect(arrival?.bytes).toBe(sizeOf(image));
    expect(destination.content.manifest(repository, 'v1')?.digest).toBe(image.digest);
  });

  it('is given up where the manifest is refused even after an upload', async () => {
    await pushImage(at(), { seed: repository, tag: 'v1', layers: [] });
    await using copying = openCopying();
    const body = JSON.stringify({ errors: [{ code: 'MANIFEST_BLOB_UNKNOWN' }] });
    front.setFaults([{ when: { method: 'PUT', path: /manifests/ }, effect: { kind: 'answer', status: 400, body } }]);
    const [arrival] = await copying.copy(from(), [to()]);
    expect(arrival?.error).toMatchObject({ code: 'blob-unknown', site: { registry: front.host } });
    // As it came, without mounts, and without HEAD.
    expect(front.find('PUT', /manifests/)).toHaveLength(3);
    expect(destination.content.tags(repository)).toEqual([]);
  });

  it('is brought again where it was collected while the image was copied', async () => {
    const child = await pushImage(at(), { seed: repository, layers: [base] });
    const index = await pushIndex(at(), { entries: [{ manifest: child }], tag: 'v1' });
    await using copying = openCopying();
    let collected = 0;
    const [arrival] = await copying.copy(from(), [to()], {}, async () => {
      if (collected > 0) return;
      collected += 1;
      destination.content.deleteManifest(repository, child.digest);
      for (const { digest } of [child.config, ...child.layers]) destination.content.deleteBlob(repository, digest);
    });
    expect(arrival?.error).toBeUndefined();
    expect(collected).toBe(1);
    expect(destination.content.manifest(repository, 'v1')?.digest).toBe(index.digest);
    expect(destination.content.manifest(repository, child.digest)?.bytes).toEqual(child.bytes);
  });

  it.each([
    ['MANIFEST_BLOB_UNKNOWN', 400],
    ['MANIFEST_UNKNOWN', 404],
  ])('is brought again where a child is denied as %s', async (code, status) => {
    const child = await pushImage(at(), { seed: repository });
    const index = await pushIndex(at(), { entries: [{ manifest: child }], tag: 'v1' });
    await using copying = openCopying();
    await copying.copy(from(child.digest), [to()]);
    destination.content.deleteManifest(repository, child.digest);
    front.setFaults([
      {
        when: { method: 'PUT', path: /manifests\/v1/, hit: 1 },
        effect: { kind: 'answer', status, body: JSON.stringify({ errors: [{ code }] }) },
      },
    ]);
    const [arrival] = await copying.copy(from(), [to()]);
    expect(arrival?.error).toBeUndefined();
    expect(destination.content.manifest(repository, 'v1')?.digest).toBe(index.digest);
  });

  it('is asked for where the registry refuses mounts, so that nothing is uploaded twice', async () => {
    const tags = ['v1', 'v2', 'v3'];
    for (const tag of tags) await pushImage(at(), { seed: `${repository} ${tag}`, tag, layers: [base] });
    const second = `${repository}/second`;
    // Both repositories have had the base for long, and nobody here knows.
    for (const name of [repository, second]) {
      await using before = openCopying();
      await before.copy(from(), [to(name)]);
    }
    front.setFaults([{ when: { method: 'POST' }, effect: { kind: 'drop-query', names: ['mount', 'from'] } }]);
    front.requests.length = 0;
    await using copying = openCopying();
    for (const tag of tags.slice(1)) {
      for (const name of [repository, second]) {
        const [arrival] = await copying.copy(from(tag), [to(name)]);
        expect(arrival?.error).toBeUndefined();
        expect(arrival?.present).toBe(1);
      }
    }
    // A configuration of each of two tags for each of two repositories.
    expect(front.find('PUT', /digest=/)).toHaveLength(4);
    expect(destination.content.openUploads()).toBe(0);
  });

  it('is believed for a tag that may not be moved and is equal', async () => {
    const image = await pushImage(at(), { seed: repository, tag: 'v1' });
    await using copying = openCopying();
    await copying.copy(from(), [to()]);
    const body = JSON.stringify({ errors: [{ code: 'TAG_INVALID', message: 'tag is immutable' }] });
    front.setFaults([
      { when: { method: 'PUT', path: /manifests\/v1/ }, effect: { kind: 'answer', status: 400, body } },
    ]);
    const [arrival] = await copying.copy(from(), [to()]);
    expect(arrival?.error).toBeUndefined();
    expect(destination.content.manifest(repository, 'v1')?.digest).toBe(image.digest);
  });
});
