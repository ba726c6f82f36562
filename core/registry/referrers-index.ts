import { digestOf } from '../model/digest.ts';
import { hasCode } from '../model/errors.ts';
import { type Descriptor, parseReferrers } from '../model/manifest.ts';
import { isIndexType, OCI_INDEX } from '../model/media-types.ts';
import { type Digest, formatRepository, type Repository, type Target } from '../model/reference.ts';
import { referrersTag } from '../model/referrer.ts';
import type { RegistryClient } from './client.ts';
import { getManifest, headManifest, MAX_MANIFEST_BYTES, putManifest } from './manifests.ts';
import { listReferrerTags } from './referrer-tags.ts';

/** Entries of one index: as many as its bytes can hold. */
const MOST_ENTRIES = 20_000;

/**
 * Adds artifacts to the index of what refers to a manifest, which clients keep where a registry does not. What is in it
 * already stays. Only one may do so at a time: the caller has the lease of the tag.
 *
 * @param entries descriptors with the artifacts' own types and annotations
 * @returns why the index was left as it was; undefined where it names all of them now
 * @throws TranshipError as {@link putManifest}
 * @see distribution spec, "Referrers Tag Schema"
 */
export async function addToReferrersIndex(
  client: RegistryClient,
  { registry, repository }: Repository,
  subject: Digest,
  entries: Descriptor[],
  { signal }: { signal: AbortSignal },
): Promise<string | undefined> {
  const target: Target = { registry, repository, tag: referrersTag(subject) };
  const present = await readEntries(client, target, subject, signal);
  if (present === undefined) return `${formatRepository(target)} has no index of referrers at the tag ${target.tag}`;
  const known = new Set(present.map(({ digest }) => digest));
  const missing = entries.filter(({ digest }) => !known.has(digest));
  if (missing.length === 0) return undefined;
  const bytes = indexOf([...present, ...missing]);
  if (bytes.length > MAX_MANIFEST_BYTES) return `the index of referrers at the tag ${target.tag} is full`;
  try {
    await putIndex(client, target, bytes, signal);
  } catch (error) {
    if (!hasCode(error, 'blob-unknown', 'not-found')) throw error;
    // Registries refuse an index that names what was deleted since.
    const heads = await Promise.all(
      present.map(({ digest }) => headManifest(client, { registry, repository, digest }, { access: 'push', signal })),
    );
    const left = present.filter((_, position) => heads[position] !== undefined);
    await putIndex(client, target, indexOf([...left, ...missing]), signal);
  }
  return undefined;
}

/** Undefined where something else is behind the tag. */
async function readEntries(
  client: RegistryClient,
  target: Target,
  subject: Digest,
  signal: AbortSignal,
): Promise<Descriptor[] | undefined> {
  try {
    const { bytes, mediaType, digest } = await getManifest(client, target, { signal });
    if (digest === subject) return undefined;
    const index = isIndexType(mediaType) ? parseReferrers(bytes, MOST_ENTRIES) : undefined;
    return index?.isCut ? undefined : index?.entries;
  } catch (error) {
    if (hasCode(error, 'not-found')) return [];
    // Artifactory says 403 for a tag that is not there (sigstore/cosign#2973).
    const tags = hasCode(error, 'denied') ? await listReferrerTags(client, target, { signal }) : undefined;
    if (tags?.has(target.tag ?? '') === false) return [];
    throw error;
  }
}

function indexOf(entries: Descriptor[]): Buffer {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries }));
}

async function putIndex(client: RegistryClient, target: Target, bytes: Buffer, signal: AbortSignal): Promise<void> {
  await putManifest(client, target, { bytes, mediaType: OCI_INDEX, digest: digestOf(bytes) }, { signal });
}
