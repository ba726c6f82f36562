import { createHash, createSign, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../core/model/media-types.ts';
import {
  buildLayer,
  type ImagePlatform,
  type IndexEntry,
  type LayerSpec,
  layerTypes,
  type PushedImage,
  pushIndex,
} from '../../testing/images.ts';
import { type Descriptor, type PushedManifest, type PushTarget, pushBlob, pushManifest } from '../../testing/push.ts';
import { seededBytes } from '../../testing/registry/generated-bytes.ts';

/** Images of the rarer kinds. The plain ones, multi-arch included, are in testing/images.ts. */

/** image-spec "Guidance for an Empty Descriptor". */
const emptyType = 'application/vnd.oci.empty.v1+json';
const emptyBytes = Buffer.from('{}');

/** A reference for a manifest's `subject`. */
function descriptorOf({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

/**
 * An index as buildx pushes it with provenance: each image with an attestation manifest beside it, on a platform
 * `unknown/unknown`, bound to its image by annotations.
 * https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
 */
export async function pushAttestedIndex(
  target: PushTarget,
  images: PushedImage[],
  options: { tag?: string } = {},
): Promise<PushedManifest & { attestations: PushedManifest[] }> {
  const attestations: PushedManifest[] = [];
  const entries: IndexEntry[] = images.map((manifest) => ({ manifest, platform: manifest.platform }));
  for (const image of images) {
    const manifest = await pushAttestation(target, image);
    attestations.push(manifest);
    entries.push({
      manifest,
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': image.digest,
      },
    });
  }
  return { ...(await pushIndex(target, { ...options, entries })), attestations };
}

async function pushAttestation(target: PushTarget, image: PushedImage): Promise<PushedManifest> {
  const statement = Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v0.1',
      predicateType: 'https://slsa.dev/provenance/v0.2',
      subject: [{ name: '_', digest: { sha256: image.digest.slice('sha256:'.length) } }],
    }),
  );
  const layer = await pushBlob(target, 'application/vnd.in-toto+json', statement);
  const config = { os: 'unknown', architecture: 'unknown', rootfs: { type: 'layers', diff_ids: [layer.digest] } };
  return pushManifest(target, OCI_MANIFEST, {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: await pushBlob(target, OCI_CONFIG, Buffer.from(JSON.stringify(config))),
    layers: [layer],
  });
}

export interface ArtifactOptions {
  artifactType: string;
  seed: string;
  /** Makes the artifact a referrer. */
  subject?: Descriptor;
  tag?: string;
  annotations?: Record<string, string>;
}

/** An OCI 1.1 artifact: no configuration, one blob of another type than an image's. */
export async function pushArtifact(target: PushTarget, options: ArtifactOptions): Promise<PushedManifest> {
  const body = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType: options.artifactType,
    config: await pushBlob(target, emptyType, emptyBytes),
    layers: [await pushBlob(target, 'application/octet-stream', seededBytes(options.seed, 100))],
    ...(options.subject && { subject: descriptorOf(options.subject) }),
    ...(options.annotations && { annotations: options.annotations }),
  };
  const manifest = await pushManifest(target, OCI_MANIFEST, body, { tag: options.tag });
  return { ...manifest, artifactType: options.artifactType };
}

/** A signature as cosign stores it by default: an image under the tag `sha256-<hex>.sig`. */
export function pushCosignSignature(target: PushTarget, subject: Descriptor): Promise<PushedManifest> {
  return pushArtifact(target, {
    artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json',
    seed: `signature of ${subject.digest}`,
    tag: `${subject.digest.replace(':', '-')}.sig`,
  });
}

/** The index that stands in for the referrers API where there is none (distribution-spec, "Referrers Tag Schema"). */
export function pushReferrersTag(
  target: PushTarget,
  subject: Descriptor,
  referrers: Descriptor[],
): Promise<PushedManifest> {
  const manifests = referrers.map((referrer) => ({
    ...descriptorOf(referrer),
    ...(referrer.artifactType !== undefined && { artifactType: referrer.artifactType }),
  }));
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
  return pushManifest(target, OCI_INDEX, index, { tag: subject.digest.replace(':', '-') });
}

/**
 * A Windows image of the old kind: its first layer is not in the registry but at `url`.
 * @returns the foreign layer's descriptor too; its blob is nowhere
 */
export async function pushForeignLayerImage(
  target: PushTarget,
  options: { seed: string; url: string; tag?: string },
): Promise<PushedManifest & { foreign: Descriptor }> {
  const absent = buildLayer({ seed: `${options.seed}/foreign`, bytes: 1000 });
  const own = buildLayer({ seed: options.seed, bytes: 1000 });
  const foreign: Descriptor = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest: `sha256:${createHash('sha256').update(absent.bytes).digest('hex')}`,
    size: absent.bytes.length,
    urls: [options.url],
  };
  const config = {
    os: 'windows',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: [absent.diffId, own.diffId] },
  };
  const body = {
    schemaVersion: 2,
    mediaType: DOCKER_MANIFEST,
    config: await pushBlob(target, DOCKER_CONFIG, Buffer.from(JSON.stringify(config))),
    layers: [foreign, await pushBlob(target, layerTypes.docker, own.bytes)],
  };
  return { ...(await pushManifest(target, DOCKER_MANIFEST, body, { tag: options.tag })), foreign };
}

/** An OCI image all of whose digests, its own included, are sha512. CNCF distribution 2 does not take it. */
export async function pushSha512Image(
  target: PushTarget,
  options: { seed: string; tag?: string },
): Promise<PushedManifest> {
  const layer = buildLayer({ seed: options.seed, bytes: 1000 });
  const config = { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [layer.diffId] } };
  const body = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: await pushBlob(target, OCI_CONFIG, Buffer.from(JSON.stringify(config)), 'sha512'),
    layers: [await pushBlob(target, layerTypes.oci, layer.bytes, 'sha512')],
  };
  const byDigest = await pushManifest(target, OCI_MANIFEST, body, { algorithm: 'sha512' });
  if (options.tag !== undefined) await pushManifest(target, OCI_MANIFEST, byDigest.bytes, { tag: options.tag });
  return byDigest;
}

export interface Schema1Options {
  seed: string;
  tag: string;
  layers?: LayerSpec[];
  platform?: ImagePlatform;
  /** Default true. CNCF distribution takes signed ones only. */
  signed?: boolean;
}

/**
 * An image of Docker's schema 1.
 * @returns with the digest that a registry gives it: of the signed payload, not of all bytes
 */
export async function pushSchema1(target: PushTarget, options: Schema1Options): Promise<PushedManifest> {
  const { seed, tag, layers = [{ seed, bytes: 1000 }], signed = true } = options;
  const digests: string[] = [];
  for (const layer of layers) digests.push((await pushBlob(target, layerTypes.docker, buildLayer(layer).bytes)).digest);
  const idOf = (index: number) => createHash('sha256').update(`${seed}/${index}`).digest('hex');
  const manifest = {
    schemaVersion: 1,
    name: target.repository,
    tag,
    architecture: options.platform?.architecture ?? 'amd64',
    fsLayers: digests.map((blobSum) => ({ blobSum })),
    history: digests.map((_, index) => ({
      v1Compatibility: JSON.stringify({
        id: idOf(index),
        ...(index + 1 < digests.length && { parent: idOf(index + 1) }),
        os: options.platform?.os ?? 'linux',
        architecture: options.platform?.architecture ?? 'amd64',
      }),
    })),
  };
  const payload = Buffer.from(JSON.stringify(manifest, undefined, 3));
  const bytes = signed ? signSchema1(payload) : payload;
  const pushed = await pushManifest(target, signed ? DOCKER_SCHEMA1_SIGNED : DOCKER_SCHEMA1, bytes, { tag });
  return { ...pushed, digest: `sha256:${createHash('sha256').update(payload).digest('hex')}` };
}

/** docker/libtrust "Pretty Signature": the signatures stand inside the JSON they sign, before its last brace. */
function signSchema1(payload: Buffer): Buffer {
  const tail = '\n}';
  const formatLength = payload.length - tail.length;
  const header = { formatLength, formatTail: base64url(tail), time: '2020-01-01T00:00:00Z' };
  const protectedHeader = base64url(JSON.stringify(header));
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signature = createSign('sha256')
    .update(`${protectedHeader}.${payload.toString('base64url')}`)
    .sign({ key: privateKey, dsaEncoding: 'ieee-p1363' });
  const jwk: JsonWebKey = { ...publicKey.export({ format: 'jwk' }), kid: libtrustKeyId(publicKey) };
  const signatures = [
    { header: { jwk, alg: 'ES256' }, signature: signature.toString('base64url'), protected: protectedHeader },
  ];
  const head = payload.subarray(0, formatLength);
  return Buffer.concat([head, Buffer.from(`,\n   "signatures": ${JSON.stringify(signatures)}${tail}`)]);
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}

/** docker/libtrust: the first 240 bits of the key's SHA-256, in base32, in groups of four. */
function libtrustKeyId(key: KeyObject): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const hash = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 30);
  const bits = [...hash].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = (bits.match(/.{5}/g) ?? []).map((five) => alphabet[Number.parseInt(five, 2)]).join('');
  return (letters.match(/.{4}/g) ?? []).join(':');
}
