import { describe, expect, it } from 'vitest';
import { digestOf } from '../../core/model/digest.ts';
import { type Descriptor, type Platform, parseManifest } from '../../core/model/manifest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../core/model/media-types.ts';
import { EVERY_PLATFORM, keepChildren, matchesPlatform, platformKey, subsetIndex } from '../../core/model/platform.ts';

const platform = (text: string): Platform => {
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, ...(variant !== undefined && { variant }) };
};

describe('matchesPlatform', () => {
  it.each([
    ['linux/amd64', 'linux/amd64', true],
    ['linux/amd64', 'linux/arm64', false],
    ['linux/arm', 'linux/arm/v7', true],
    ['linux/arm/v6', 'linux/arm/v7', false],
    ['linux/arm64/v8', 'linux/arm64', true],
    ['linux/arm/v7', 'linux/arm', true],
    ['linux/arm/v6', 'linux/arm', false],
    ['linux/amd64/v1', 'linux/amd64', true],
    ['linux/amd64/v1', 'linux/amd64/v1', true],
    ['linux/amd64/v1', 'linux/amd64/v3', false],
    ['linux/amd64/v3', 'linux/amd64', false],
    ['windows/amd64', 'linux/amd64', false],
  ])('platforms: %s takes %s: %s', (want, have, taken) => {
    expect(matchesPlatform({ ...EVERY_PLATFORM, platforms: [want] }, platform(have))).toBe(taken);
  });

  it.each([
    [['arm64'], 'linux/arm64/v8', true],
    [['arm64:v8'], 'linux/arm64/v8', true],
    [['arm:v6'], 'linux/arm/v7', false],
    [['arm64:v8'], 'linux/arm64', true],
    [['arm:v7'], 'linux/arm', true],
    [['amd64:v1'], 'linux/amd64', true],
    [['amd64', 'arm64'], 'linux/s390x', false],
  ])("image-syncer's --arch %s takes %s: %s", (arch, have, taken) => {
    expect(matchesPlatform({ ...EVERY_PLATFORM, arch }, platform(have))).toBe(taken);
  });

  it("knows image-syncer's --os with a version, and passes what names no platform", () => {
    const filter = { ...EVERY_PLATFORM, os: ['windows:10.0'], arch: ['amd64'], platforms: [] };
    expect(matchesPlatform(filter, { os: 'windows', 'os.version': '10.0', architecture: 'amd64' })).toBe(true);
    expect(matchesPlatform(filter, { os: 'windows', 'os.version': '11.0', architecture: 'amd64' })).toBe(false);
    expect(matchesPlatform(filter, {})).toBe(true);
    expect(matchesPlatform({ ...EVERY_PLATFORM, platforms: ['linux/amd64'] }, {})).toBe(true);
  });
});

it('gives the same text for the same filter, and none for no filter', () => {
  expect(platformKey(EVERY_PLATFORM)).toBe('');
  const one = { ...EVERY_PLATFORM, arch: ['arm64', 'amd64'] };
  expect(platformKey(one)).toBe(platformKey({ ...one, arch: ['amd64', 'arm64', 'amd64'] }));
  expect(platformKey(one)).not.toBe(platformKey({ ...EVERY_PLATFORM, os: one.arch }));
});

describe('a subset of an index', () => {
  it('is refused for good where the index is nested too deeply to be written', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    const bytes = Buffer.from(`{"manifests":[],"x":${deep}}`);
    const content = { kind: 'index' as const, children: [], blobs: [] };
    const refusal = expect.objectContaining({ class: 'permanent', code: 'bad-manifest' });
    expect(() => subsetIndex(bytes, content, [])).toThrow(refusal);
  });

  const entry = (name: string, of: Platform, annotations?: Record<string, string>): Descriptor => ({
    mediaType: OCI_MANIFEST,
    digest: digestOf(Buffer.from(name)),
    size: 2,
    platform: of,
    ...(annotations && { annotations }),
  });
  const amd = entry('amd', platform('linux/amd64'));
  const arm = entry('arm', platform('linux/arm64'));
  const attests = (image: Descriptor) =>
    entry(`about ${image.digest}`, platform('unknown/unknown'), {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': image.digest,
    });
  const children = [amd, arm, attests(amd), attests(arm)];
  const filter = { ...EVERY_PLATFORM, platforms: ['linux/arm64'] };

  it('keeps attestations with their images', () => {
    expect(keepChildren(children, filter)).toEqual([arm, attests(arm)]);
    expect(keepChildren([attests(amd), amd], filter)).toEqual([]);
  });

  it('keeps all else of the document', () => {
    const document = {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [
        { ...amd, extra: 1 },
        { ...arm, extra: 2 },
      ],
      annotations: { of: 'the index' },
    };
    const bytes = Buffer.from(JSON.stringify(document));
    const content = parseManifest(bytes, OCI_INDEX);
    if (content.kind !== 'index') throw new Error('an index was expected');
    const subset = subsetIndex(bytes, content, keepChildren(content.children, filter));
    expect(JSON.parse(String(subset.bytes))).toEqual({ ...document, manifests: [document.manifests[1]] });
    expect(subset.digest).toBe(digestOf(subset.bytes));
  });
});
