import { digestOf } from '../model/digest.ts';
import { hasCode } from '../model/errors.ts';
import type { Descriptor } from '../model/manifest.ts';
import { isIndexType, OCI_INDEX } from '../model/media-types.ts';
import { type Digest, formatRepository, isDigest, type Repository, type Target } from '../model/reference.ts';
import { referrersTag } from '../model/referrer.ts';
import type { RegistryClient } from './client.ts';
import { getManifest, headManifest, MAX_MANIFEST_BYTES, putManifest } from './manifests.ts';
import { listReferrerTags } from './referrer-tags.ts';

/** An index of referrers as somebody wrote it: fields that nobody here knows stay as they are. */
interface ReferrersIndex {
  mediaType: string;
  document: Record<string, unknown>;
  entries: unknown[];
}

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
  const present = await readIndex(client, target, subject, signal);
  if (present === undefined) return `${formatRepository(target)} has no index of referrers at the tag ${target.tag}`;
  const known = new Set(present.entries.map(digestIn));
  const missing = entries.filter(({ digest }) => !known.has(digest));
  if (missing.length === 0) return undefined;
  const whole = { ...present, entries: [...present.entries, ...missing] };
  if (bytesOf(whole).length > MAX_MANIFEST_BYTES) return `the index of referrers at the tag ${target.tag} is full`;
  try {
    await putIndex(client, target, whole, signal);
  } catch (error) {
    if (!hasCode(error, 'blob-unknown', 'not-found')) throw error;
    // Registries refuse an index that names what was deleted since.
    const isThere = await Promise.all(
      present.entries.map(async (entry) => {
        const digest = digestIn(entry);
        if (digest === undefined) return false;
        return (await headManifest(client, { registry, repository, digest }, { access: 'push', signal })) !== undefined;
      }),
    );
    const left = present.entries.filter((_, position) => isThere[position]);
    await putIndex(client, target, { ...present, entries: [...left, ...missing] }, signal);
  }
  return undefined;
}

/** An empty one where there is none; undefined where something else is behind the tag. */
async function readIndex(
  client: RegistryClient,
  target: Target,
  subject: Digest,
  signal: AbortSignal,
): Promise<ReferrersIndex | undefined> {
  try {
    const { bytes, mediaType, digest } = await getManifest(client, target, { signal });
    return digest === subject || !isIndexType(mediaType) ? undefined : parseIndex(bytes, mediaType);
  } catch (error) {
    if (hasCode(error, 'not-found')) return newIndex();
    // Artifactory says 403 for a tag that is not there (sigstore/cosign#2973).
    const tags = hasCode(error, 'denied') ? await listReferrerTags(client, target, { signal }) : undefined;
    if (tags?.has(target.tag ?? '') === false) return newIndex();
    throw error;
  }
}

function newIndex(): ReferrersIndex {
  return { mediaType: OCI_INDEX, document: { schemaVersion: 2, mediaType: OCI_INDEX }, entries: [] };
}

/** Undefined where it is no index. */
function parseIndex(bytes: Buffer, mediaType: string): ReferrersIndex | undefined {
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
    // One that is nested too deeply can be read, and not be written.
    JSON.stringify(document);
  } catch {
    return undefined;
  }
  if (typeof document !== 'object' || document === null || !('manifests' in document)) return undefined;
  const entries = document.manifests ?? [];
  return Array.isArray(entries) ? { mediaType, document: { ...document }, entries } : undefined;
}

function digestIn(entry: unknown): Digest | undefined {
  const { digest } = Object(entry);
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
}

function bytesOf({ document, entries }: ReferrersIndex): Buffer {
  return Buffer.from(JSON.stringify({ ...document, manifests: entries }));
}

async function putIndex(
  client: RegistryClient,
  target: Target,
  index: ReferrersIndex,
  signal: AbortSignal,
): Promise<void> {
  const bytes = bytesOf(index);
  await putManifest(client, target, { bytes, mediaType: index.mediaType, digest: digestOf(bytes) }, { signal });
}
