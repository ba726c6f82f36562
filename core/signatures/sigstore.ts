import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type Bundle, bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import seeds from '@sigstore/tuf/seeds.json' with { type: 'json' };
import { type TrustMaterial, toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { digestOf } from '../model/digest.ts';
import { configurationError } from '../model/errors.ts';
import type { Digest } from '../model/reference.ts';
import type { SignatureRequirement } from '../model/requirement.ts';
import { compilePattern } from '../rules/pattern.ts';
import type { Candidate, Verdict } from './candidate.ts';

/** Judges candidates for one requirement. */
export interface Judge {
  /** Whether somebody whom the requirement names has signed the image. Never throws. */
  judge(candidate: Candidate, image: Digest): Verdict;
}

/** What `cosign sign` states of an image; other statements, of builds or contents, are no signatures. */
const SIGNED = 'https://sigstore.dev/cosign/sign/v1';
const IN_TOTO = 'application/vnd.in-toto+json';
const PUBLIC_INSTANCE = 'https://tuf-repo-cdn.sigstore.dev';

/**
 * Verifies by sigstore-js, without a network: what a bundle does not bring is not looked up. For keys, no transparency
 * log is asked for; identities need an entry in one.
 *
 * @throws TranshipError `config-invalid` for a key or a trusted root that cannot be read
 */
export function createJudge({ keys, identities, trustRoot }: SignatureRequirement): Judge {
  const publicKeys = keys.map(readKey);
  const trusted = identities.length === 0 ? undefined : toTrustMaterial(readTrustRoot(trustRoot));
  const signers = identities.map(({ identity, issuer }) => ({
    fits: compilePattern({ kind: 'glob', text: identity }),
    issuer,
  }));

  function judgeIdentity(bundle: Bundle, artifact: Buffer | undefined, trust: TrustMaterial): Verdict {
    const { identity } = new Verifier(trust).verify(toSignedEntity(bundle, artifact));
    const { subjectAlternativeName: name = '', extensions } = identity ?? {};
    if (signers.some(({ fits, issuer }) => issuer === extensions?.issuer && fits(name))) return undefined;
    return `it is signed by ${name}, confirmed by ${extensions?.issuer}`;
  }

  function judgeBundle(bundle: Bundle, artifact?: Buffer): Verdict {
    if (bundle.verificationMaterial.content.$case !== 'publicKey') {
      return trusted === undefined
        ? 'it has a certificate, and the rule names keys'
        : judgeIdentity(bundle, artifact, trusted);
    }
    const entity = { ...toSignedEntity(bundle, artifact), timestamps: [], tlogEntries: [] };
    return publicKeys.some((key) => entity.signature.verifySignature(key)) ? undefined : 'no key of the rule made it';
  }

  return {
    judge(candidate, image) {
      try {
        if (candidate.kind === 'bundle') {
          const bundle = bundleFromJSON(JSON.parse(candidate.text));
          if (bundle.content.$case !== 'dsseEnvelope') return 'it signs something else than an image';
          const { payload, payloadType } = bundle.content.dsseEnvelope;
          return faultOfStatement(payloadType, payload, image) ?? judgeBundle(bundle);
        }
        const { payload, annotations } = candidate;
        const fault = faultOfPayload(payload, image);
        if (fault !== undefined) return fault;
        const signature = Buffer.from(annotations['dev.cosignproject.cosign/signature'] ?? '', 'base64');
        if (publicKeys.some((key) => isSignedBy(key, payload, signature))) return undefined;
        const bundle = trusted && bundleOf(payload, signature, annotations);
        if (trusted === undefined || bundle === undefined) return 'no key of the rule made it';
        return judgeIdentity(bundle, payload, trusted);
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
  };
}

function readKey(pem: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch (cause) {
    throw configurationError('a key of the rule is no public key in PEM', { cause });
  }
}

function readTrustRoot(text: string | undefined): TrustedRoot {
  const shipped = seeds[PUBLIC_INSTANCE].targets['trusted_root.json'];
  try {
    return TrustedRoot.fromJSON(JSON.parse(text ?? Buffer.from(shipped, 'base64').toString('utf8')));
  } catch (cause) {
    throw configurationError('the trusted root cannot be read', { cause });
  }
}

/** in-toto Statement v1; the image is named by its digest alone. */
function faultOfStatement(payloadType: string, payload: Buffer, image: Digest): Verdict {
  if (payloadType !== IN_TOTO) return `it signs ${payloadType}`;
  const statement = JSON.parse(payload.toString('utf8'));
  if (statement?.predicateType !== SIGNED) return 'it is an attestation, and no signature';
  const subjects: unknown = statement?.subject;
  const isNamed = Array.isArray(subjects) && subjects.some((subject) => `sha256:${subject?.digest?.sha256}` === image);
  return isNamed ? undefined : 'it is the signature of another image';
}

/** Red Hat's "simple signing" document, as cosign writes it. */
function faultOfPayload(payload: Buffer, image: Digest): Verdict {
  const critical = JSON.parse(payload.toString('utf8'))?.critical;
  if (critical?.type !== 'cosign container image signature') return 'it is no signature of cosign';
  return critical?.image?.['docker-manifest-digest'] === image ? undefined : 'it is the signature of another image';
}

function isSignedBy(key: KeyObject, payload: Buffer, signature: Buffer): boolean {
  const isBare = key.asymmetricKeyType === 'ed25519';
  return verify(isBare ? null : 'sha256', payload, key, signature);
}

/** The proofs of a keyless signature in cosign's older format, as a bundle; undefined where there are none. */
function bundleOf(payload: Buffer, signature: Buffer, annotations: Record<string, string>): Bundle | undefined {
  const { 'dev.sigstore.cosign/certificate': certificate, 'dev.sigstore.cosign/bundle': entry } = annotations;
  if (certificate === undefined || entry === undefined) return undefined;
  const { SignedEntryTimestamp: signedEntryTimestamp, Payload: log } = JSON.parse(entry);
  const rawBytes = certificate.replace(/-----[A-Z ]+-----|\s/g, '');
  return bundleFromJSON({
    mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1',
    verificationMaterial: {
      x509CertificateChain: { certificates: [{ rawBytes }] },
      tlogEntries: [
        {
          logIndex: String(log.logIndex),
          logId: { keyId: Buffer.from(log.logID, 'hex').toString('base64') },
          kindVersion: { kind: 'hashedrekord', version: '0.0.1' },
          integratedTime: String(log.integratedTime),
          inclusionPromise: { signedEntryTimestamp },
          canonicalizedBody: log.body,
        },
      ],
    },
    messageSignature: {
      messageDigest: {
        algorithm: 'SHA2_256',
        digest: Buffer.from(digestOf(payload).slice('sha256:'.length), 'hex').toString('base64'),
      },
      signature: signature.toString('base64'),
    },
  });
}
