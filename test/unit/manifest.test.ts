import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../core/model/digest.ts';
import { TranshipError } from '../../core/model/errors.ts';
import { parseConfigPlatform, parseManifest } from '../../core/model/manifest.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1,
  MANIFEST_TYPES,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../core/model/media-types.ts';

const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip';
const at = (name: string, mediaType = layerType, size = 3) => ({
  mediaType,
  digest: digestOf(Buffer.from(name)),
  size,
});
const parse = (document: unknown, mediaType: string) => parseManifest(Buffer.from(JSON.stringify(document)), mediaType);

describe('parseManifest', () => {
  it('names configuration and layers, each digest once', () => {
    const config = at('config', OCI_CONFIG);
    const content = parse({ config, layers: [at('a'), at('b'), at('a')] }, OCI_MANIFEST);
    expect(content).toEqual({ kind: 'image', config, blobs: [config, at('a'), at('b')] });
  });

  it('leaves foreign layers where they are', () => {
    const type = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
    const foreign = { ...at('far', type), urls: ['https://layers.example/far'] };
    const content = parse({ config: at('c', OCI_CONFIG), layers: [foreign, at('a')] }, DOCKER_MANIFEST);
    expect(content.blobs.map((blob) => blob.digest)).toEqual([at('c').digest, at('a').digest]);
  });

  it('takes what an artifact has for blobs, with no platform to look for', () => {
    const content = parse({ config: at('{}', 'application/vnd.oci.empty.v1+json'), layers: [at('a')] }, OCI_MANIFEST);
    expect(content).not.toHaveProperty('config');
  });

  it('reads schema 1, which tells no sizes', () => {
    const { digest } = at('a');
    const content = parse(
      { architecture: 'arm', fsLayers: [{ blobSum: digest }, { blobSum: digest }] },
      DOCKER_SCHEMA1,
    );
    expect(content).toMatchObject({ kind: 'image', platform: { architecture: 'arm' } });
    expect(content.blobs).toEqual([{ mediaType: 'application/octet-stream', digest, size: undefined }]);
  });

  it("tells an index's manifests from the layers that BuildKit's cache lists there", () => {
    const manifests = [at('m', OCI_MANIFEST), at('nested', OCI_INDEX), at('layer')];
    const content = parse({ manifests }, OCI_INDEX);
    expect(content).toMatchObject({ kind: 'index', children: [manifests[0], manifests[1]], blobs: [manifests[2]] });
  });

  it.each([
    ['no JSON', 'x', OCI_INDEX],
    ['no object', '[]', OCI_INDEX],
    ['both manifests and layers', '{"manifests":[],"layers":[]}', OCI_INDEX],
    ['a digest that is a path', '{"config":{"digest":"../../x","size":1},"layers":[]}', OCI_MANIFEST],
    ['a negative size', JSON.stringify({ manifests: [at('m', OCI_MANIFEST, -1)] }), OCI_INDEX],
    ['two sizes of one blob', JSON.stringify({ config: at('a'), layers: [at('a', layerType, 4)] }), OCI_MANIFEST],
    ['layers that are no list', JSON.stringify({ config: at('a'), layers: {} }), OCI_MANIFEST],
  ])('refuses %s', (_what, text, mediaType) => {
    expect(() => parseManifest(Buffer.from(text), mediaType)).toThrow(
      expect.objectContaining({ code: 'bad-manifest' }),
    );
  });

  it('throws nothing but its own error, whatever it is given', () => {
    const field = fc.constantFrom('manifests', 'layers', 'config', 'fsLayers', 'blobs', 'mediaType');
    const value = fc.oneof(fc.jsonValue(), fc.constant([at('a')]), fc.constant(at('b')));
    fc.assert(
      fc.property(fc.dictionary(field, value), fc.constantFrom(...MANIFEST_TYPES, 'text/plain'), (document, type) => {
        try {
          parse(document, type);
        } catch (error) {
          expect(error).toBeInstanceOf(TranshipError);
        }
      }),
    );
  });

  it('keeps the entries of a Docker list in order', () => {
    const manifests = ['z', 'a', 'm'].map((name) => ({
      ...at(name, DOCKER_MANIFEST),
      platform: { os: 'linux', architecture: name },
    }));
    expect(parse({ manifests }, DOCKER_LIST)).toMatchObject({ children: manifests });
  });
});

it('reads the platform of a configuration', () => {
  const config = { os: 'linux', architecture: 'arm64', variant: 'v8', rootfs: {} };
  expect(parseConfigPlatform(Buffer.from(JSON.stringify(config)))).toEqual({
    os: 'linux',
    architecture: 'arm64',
    variant: 'v8',
  });
  expect(() => parseConfigPlatform(Buffer.from('[]'))).toThrow(TranshipError);
});
