import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { OCI_MANIFEST } from '../../core/model/media-types.ts';
import { type Descriptor, type PushedManifest, type PushTarget, pushBlob, pushManifest } from '../../testing/push.ts';

const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json';

export interface KeyPair {
  privateKey: KeyObject;
  /** PEM. */
  publicKey: string;
}

export function makeKeyPair(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

/** A Sigstore bundle as `cosign sign --key --new-bundle-format` makes it. */
export function signedBundle(
  digest: string,
  { privateKey }: KeyPair,
  predicateType = 'https://sigstore.dev/cosign/sign/v1',
): string {
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { sha256: digest.slice(7) } }],
    predicateType,
  };
  const payloadType = 'application/vnd.in-toto+json';
  const payload = Buffer.from(JSON.stringify(statement));
  const signed = Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `),
    payload,
  ]);
  const sig = sign('sha256', signed, privateKey).toString('base64');
  return JSON.stringify({
    mediaType: bundleType,
    verificationMaterial: { publicKey: { hint: createHash('sha256').update(payload).digest('base64') } },
    dsseEnvelope: { payload: payload.toString('base64'), payloadType, signatures: [{ sig }] },
  });
}

/** What cosign signs in its older format, with the annotations of its layer. */
export function signedSimply(
  digest: string,
  { privateKey }: KeyPair,
): { payload: Buffer; annotations: Record<string, string> } {
  const image = { 'docker-manifest-digest': digest };
  const critical = { identity: { 'docker-reference': 'x' }, image, type: 'cosign container image signature' };
  const payload = Buffer.from(JSON.stringify({ critical, optional: null }));
  const signature = sign('sha256', payload, privateKey).toString('base64');
  return { payload, annotations: { 'dev.cosignproject.cosign/signature': signature } };
}

/** Attaches a bundle to an image, as an artifact that names it. */
export async function pushBundle(target: PushTarget, subject: Descriptor, text: string): Promise<PushedManifest> {
  const { mediaType, digest, size } = subject;
  const config = await pushBlob(target, 'application/vnd.oci.empty.v1+json', Buffer.from('{}'));
  const layers = [await pushBlob(target, bundleType, Buffer.from(text))];
  const named = { artifactType: bundleType, subject: { mediaType, digest, size } };
  return pushManifest(target, OCI_MANIFEST, { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers, ...named });
}

/** Pushes cosign's tag `sha256-<hex>.sig` with signatures of one payload each. */
export async function pushSimpleSignatures(
  target: PushTarget,
  subject: Descriptor,
  signatures: Array<{ payload: Buffer; annotations: Record<string, string> }>,
): Promise<PushedManifest> {
  const config = await pushBlob(target, 'application/vnd.oci.image.config.v1+json', Buffer.from('{}'));
  const layers: Descriptor[] = [];
  for (const { payload, annotations } of signatures) {
    const layer = await pushBlob(target, 'application/vnd.dev.cosign.simplesigning.v1+json', payload);
    layers.push({ ...layer, annotations });
  }
  const tag = `${subject.digest.replace(':', '-')}.sig`;
  return pushManifest(target, OCI_MANIFEST, { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }, { tag });
}
