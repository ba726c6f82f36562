import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '../../core/model/media-types.ts';
import { layerTypes, pushImage, pushIndex } from '../../testing/images.ts';
import { type Descriptor, pushBlob, pushManifest } from '../../testing/push.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { type Copying, openCopying } from '../support/copying.ts';
import { pushAttestedIndex } from '../support/images.ts';

describe('a copy of every kind of image', () => {
  let source: EmbeddedRegistry;
  let destination: EmbeddedRegistry;
  let copying: Copying;
  let counter = 0;
  let repository = '';

  beforeAll(async () => {
    [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
    copying = openCopying();
  });
  afterAll(async () => {
    await copying[Symbol.asyncDispose]();
    await Promise.all([source.close(), destination.close()]);
  });
  beforeEach(() => {
    counter += 1;
    repository = `kinds/app${counter}`;
    for (const registry of [source, destination]) registry.requests.length = 0;
  });

  const at = () => ({ url: source.url, repository });
  const layer = (bytes: string) => pushBlob(at(), layerTypes.oci, Buffer.from(bytes));
  const config = (text = JSON.stringify({ author: repository })) => pushBlob(at(), OCI_CONFIG, Buffer.from(text));
  const push = (fields: object) =>
    pushManifest(at(), OCI_MANIFEST, { schemaVersion: 2, mediaType: OCI_MANIFEST, ...fields }, { tag: 'v1' });

  async function copy(filter: Parameters<Copying['copy']>[2] = {}) {
    const to = { host: destination.host, repository };
    const [arrival] = await copying.copy({ host: source.host, repository }, [to], filter);
    return arrival;
  }

  function expectCopied(): void {
    const bytes = source.content.manifest(repository, 'v1')?.bytes;
    expect(destination.content.manifest(repository, 'v1')?.bytes).toEqual(bytes);
  }

  it('takes layers of no bytes, alone and beside others', async () => {
    await push({ config: await config(), layers: [await layer('')] });
    expect((await copy())?.error).toBeUndefined();
    expectCopied();
    await push({ config: await config(), layers: await Promise.all(['x', '', 'y', ''].map(layer)) });
    expect((await copy())?.error).toBeUndefined();
    expectCopied();
    expect(destination.content.blob(repository, (await layer('')).digest)?.size).toBe(0);
  });

  it('moves a layer that is listed twice once', async () => {
    const same = await layer('same');
    const own = await config();
    await push({ config: own, layers: [same, await layer('other'), same, same] });
    const arrival = await copy();
    expect(arrival?.error).toBeUndefined();
    expect(arrival?.bytes).toBe('same'.length + 'other'.length + own.size);
    expect(destination.count('start upload')).toBe(3);
    expectCopied();
  });

  it('takes a configuration that is a layer, too', async () => {
    const both = await config('{"os":"linux"}');
    await push({ config: both, layers: [{ ...both, mediaType: layerTypes.oci }] });
    expect((await copy())?.error).toBeUndefined();
    expect(source.count('get blob')).toBe(1);
    expectCopied();
  });

  it('takes an artifact without layers', async () => {
    const type = 'application/vnd.example.thing';
    const nothing = await pushBlob(at(), 'application/vnd.oci.empty.v1+json', Buffer.from('{}'));
    await push({ artifactType: type, config: nothing, layers: [], annotations: { a: 'b' } });
    // It has no platform, so no filter leaves it out.
    expect((await copy({ arch: ['arm64'] }))?.error).toBeUndefined();
    expectCopied();
  });

  it('takes a layer that could be had elsewhere, too', async () => {
    const linked = { ...(await layer('linked')), urls: ['https://layers.example/linked'] };
    await push({ config: await config(), layers: [linked] });
    expect((await copy())?.error).toBeUndefined();
    expect(destination.content.hasBlob(repository, linked.digest)).toBe(true);
    expectCopied();
  });

  it('leaves a layer that may not be distributed where it is', async () => {
    const foreign: Descriptor = {
      ...(await layer('foreign')),
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      urls: ['https://layers.example/foreign'],
    };
    await push({ config: await config(), layers: [foreign, await layer('own')] });
    expect((await copy())?.error).toBeUndefined();
    expect(destination.content.hasBlob(repository, foreign.digest)).toBe(false);
    expectCopied();
  });

  it('takes one of that type that says nowhere else to have it', async () => {
    const own = {
      ...(await layer('not elsewhere')),
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    };
    await push({ config: await config(), layers: [own] });
    expect((await copy())?.error).toBeUndefined();
    expect(destination.content.hasBlob(repository, own.digest)).toBe(true);
    expectCopied();
  });

  it.each([-3, 3])('writes no tag where the manifest gives a layer %i bytes too many', async (more) => {
    const bytes = 'a layer of some size';
    const wrong = await layer(bytes);
    await push({ config: await config(), layers: [{ ...wrong, size: wrong.size + more }] });
    const arrival = await copy();
    expect(arrival?.error).toMatchObject({
      code: 'size-mismatch',
      message: expect.stringContaining(`has ${bytes.length} bytes of ${wrong.digest}`),
      site: { registry: source.host, repository, operation: 'get blob' },
    });
    expect(destination.content.tags(repository)).toEqual([]);
    expect(destination.content.hasBlob(repository, wrong.digest)).toBe(false);
  });

  it('writes no tag where the source lacks a layer', async () => {
    const lost = await layer('lost');
    await push({ config: await config(), layers: [lost] });
    source.content.deleteBlob(repository, lost.digest);
    const arrival = await copy();
    expect(arrival?.error).toMatchObject({
      class: 'permanent',
      code: 'blob-unknown',
      message: expect.stringContaining(lost.digest),
      site: { registry: source.host, repository },
    });
    expect(source.count('get blob')).toBe(2);
    expect(destination.content.tags(repository)).toEqual([]);
  });

  it('takes a blob that the source lacks from its descriptor, where the bytes there are right', async () => {
    const { size, ...empty } = await layer('{}');
    const own = await config();
    await push({ config: own, layers: [{ ...empty, size, data: 'e30=' }] });
    source.content.deleteBlob(repository, empty.digest);
    expect((await copy())?.error).toBeUndefined();
    expect(destination.content.hasBlob(repository, empty.digest)).toBe(true);
    expectCopied();
    const other = await layer('[]');
    await push({ config: own, layers: [{ ...other, data: 'e30=' }] });
    source.content.deleteBlob(repository, other.digest);
    expect((await copy())?.error).toMatchObject({ code: 'blob-unknown', site: { registry: source.host } });
    expect(destination.content.hasBlob(repository, other.digest)).toBe(false);
  });

  it('keeps entries of an index that name no platform, and needs no image that a filter leaves out', async () => {
    const amd64 = await pushImage(at(), { seed: `${repository} amd64` });
    const arm64 = await pushImage(at(), { seed: `${repository} arm64` });
    const bare = await pushImage(at(), { seed: `${repository} bare` });
    const { digest } = await pushIndex(at(), {
      tag: 'v1',
      entries: [
        { manifest: amd64, platform: { os: 'linux', architecture: 'amd64' } },
        { manifest: arm64, platform: { os: 'linux', architecture: 'arm64' } },
        { manifest: bare },
      ],
    });
    source.content.deleteManifest(repository, arm64.digest);
    expect((await copy())?.error).toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('(linux/arm64)'),
    });
    expect((await copy({ arch: ['amd64'] }))?.error).toBeUndefined();
    const there = destination.content.manifest(repository, 'v1');
    expect(there).toMatchObject({ mediaType: OCI_INDEX });
    expect(there?.digest).not.toBe(digest);
    const { manifests } = JSON.parse(String(there?.bytes));
    expect(manifests.map((entry: Descriptor) => entry.digest)).toEqual([amd64.digest, bare.digest]);
  });

  it('leaves out, with a filter, an attestation that the source has lost, and no image', async () => {
    const amd64 = await pushImage(at(), { seed: `${repository} amd64` });
    const arm64 = await pushImage(at(), {
      seed: `${repository} arm64`,
      platform: { os: 'linux', architecture: 'arm64' },
    });
    const { attestations } = await pushAttestedIndex(at(), [amd64, arm64], { tag: 'v1' });
    const [ofAmd64, ofArm64] = attestations.map(({ digest }) => digest);
    source.content.deleteManifest(repository, ofAmd64!);
    expect((await copy())?.error).toMatchObject({ message: expect.stringContaining(ofAmd64!) });
    expect((await copy({ os: ['linux'] }))?.error).toBeUndefined();
    const { manifests } = JSON.parse(String(destination.content.manifest(repository, 'v1')?.bytes));
    expect(manifests.map((entry: Descriptor) => entry.digest)).toEqual([amd64.digest, arm64.digest, ofArm64]);
    source.content.deleteManifest(repository, arm64.digest);
    const to = { host: destination.host, repository: `${repository}/other` };
    const [arrival] = await copying.copy({ host: source.host, repository }, [to], { os: ['linux'] });
    expect(arrival?.error).toMatchObject({ code: 'not-found', message: expect.stringContaining('(linux/arm64)') });
  });
});
