import { findReferrers } from '../copy/find-referrers.ts';
import { TranshipError, toTranshipError } from '../model/errors.ts';
import { parseArtifact, parseLayers } from '../model/manifest.ts';
import { type Digest, formatTarget, type Repository, type Target } from '../model/reference.ts';
import type { SignatureRequirement } from '../model/requirement.ts';
import { readBlob } from '../registry/blobs.ts';
import type { RegistryClient } from '../registry/client.ts';
import { getManifest } from '../registry/manifests.ts';
import type { Candidate } from './candidate.ts';

/** A signature with all its proofs has a few KiB. */
const MAX_SIGNATURE_BYTES = 256 * 1024;
/** So many candidates of one image are read: whoever attaches more cannot hold up the others. */
const MOST_CANDIDATES = 50;
const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const BUNDLE = 'application/vnd.dev.sigstore.bundle';

export interface RequireOptions {
  client: RegistryClient;
  /** Epoch ms: what was pushed before this is to be seen. */
  since?: number;
  signal: AbortSignal;
}

/**
 * Makes sure that an image has a signature by somebody whom the rule names. Reads what is attached to the image at its
 * source; the library that verifies is loaded only here.
 *
 * @throws TranshipError `unsigned`, permanent, with why each candidate does not count; what the source answers
 */
export async function requireSignature(
  { client, since, signal }: RequireOptions,
  source: Target,
  digest: Digest,
  requirement: SignatureRequirement,
): Promise<void> {
  const choice = { types: ['signatures'] };
  const { referrers } = await findReferrers({ client, signal, source, subjects: [digest], choice, since });
  const { createJudge } = await import('./sigstore.ts');
  const { judge } = createJudge(requirement);
  const reasons = new Set<string>();
  const trouble: TranshipError[] = [];
  for (const referrer of referrers.filter(({ subject }) => subject === digest).slice(0, MOST_CANDIDATES)) {
    for (const candidate of await readCandidates({ client, signal }, source, referrer, { reasons, trouble })) {
      const fault = judge(candidate, digest);
      if (fault === undefined) return;
      reasons.add(fault);
    }
  }
  // One that could not be read may be the right one.
  if (trouble[0] !== undefined) throw trouble[0];
  const [first = 'it has no signature', ...more] = reasons;
  throw new TranshipError(
    `${formatTarget(source)} is not signed as the rule requires: ${first}${more.length > 0 ? `; and ${more.join('; ')}` : ''}`.slice(
      0,
      1000,
    ),
    {
      class: 'permanent',
      code: 'unsigned',
      registry: source.registry,
      repository: source.repository,
      operation: 'verify signature',
      mend: 'sign the image, or correct `require` in the rule',
    },
  );
}

/** What an artifact holds that may be a signature. What cannot be read is a reason, not an error. */
async function readCandidates(
  { client, signal }: Pick<RequireOptions, 'client' | 'signal'>,
  { registry, repository }: Repository,
  { digest, subject, tag }: { digest: Digest; subject: Digest; tag?: string },
  { reasons, trouble }: { reasons: Set<string>; trouble: TranshipError[] },
): Promise<Candidate[]> {
  const place = { registry, repository };
  const candidates: Candidate[] = [];
  try {
    const { bytes } = await getManifest(client, { ...place, digest }, { signal });
    if (tag === undefined && parseArtifact(bytes).subject !== subject) return [];
    for (const layer of parseLayers(bytes).slice(0, MOST_CANDIDATES)) {
      const isBundle = layer.mediaType.startsWith(BUNDLE);
      if (!isBundle && layer.mediaType !== SIMPLE_SIGNING) continue;
      const { size = 0, annotations = {} } = layer;
      if (size > MAX_SIGNATURE_BYTES) throw new Error(`a signature of ${size} bytes is too long`);
      const payload = await readBlob(client, place, { digest: layer.digest, size }, { signal });
      candidates.push(
        isBundle ? { kind: 'bundle', text: payload.toString('utf8') } : { kind: 'simple', payload, annotations },
      );
    }
  } catch (thrown) {
    const error = toTranshipError(thrown);
    if (error.code === 'aborted' || error.class === 'throttled') throw error;
    if (thrown instanceof TranshipError && error.class === 'transient') trouble.push(error);
    else reasons.add(error.message);
  }
  return candidates;
}
