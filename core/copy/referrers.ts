import { rephrase, type TranshipError, toTranshipError } from '../model/errors.ts';
import { type Descriptor, parseArtifact } from '../model/manifest.ts';
import { type Digest, formatRepository, type Repository, type Target } from '../model/reference.ts';
import type { ReferrerChoice } from '../model/referrer.ts';
import { createSlots } from '../model/slots.ts';
import { type FetchedManifest, getManifest, headManifest, putManifest } from '../registry/manifests.ts';
import { quirksOf } from '../registry/quirks.ts';
import { addToReferrersIndex } from '../registry/referrers-index.ts';
import { contentOf } from './content.ts';
import { type Arrival, type CopyContext, createArrival, isAlive, isKnownAt } from './context.ts';
import { type FoundReferrers, findReferrers, type Referrer } from './find-referrers.ts';
import { copyImage } from './image.ts';
import { wantsType } from './referrer-types.ts';

const ARTIFACTS_AT_ONCE = 4;

export interface ReferrerCopy {
  source: Repository;
  /** The manifests of the image. */
  subjects: Digest[];
  /** The image's own manifest where the arrivals may lack it: it is put by its digest before what refers to it. */
  root?: FetchedManifest;
  arrivals: Arrival[];
  /** Whether what the ledger knows to be there is believed. */
  trusts: 'ledger' | 'heads';
  choice: ReferrerChoice;
  /** Epoch ms: what was pushed before this is to be seen. */
  since?: number;
  /** Runs `work` while nobody else writes that tag. */
  exclusively: (tag: string, work: () => Promise<void>) => Promise<void>;
}

export interface BroughtReferrers extends Pick<FoundReferrers, 'mark' | 'notes'> {
  /** How many artifacts an arrival did not have. */
  brought: Map<Arrival, number>;
}

/**
 * Brings what refers to an image to all arrivals: every artifact as it is, byte for byte. Where a registry does not
 * keep what refers to a manifest, its referrers tag is brought up to date.
 *
 * What is wrong with an artifact at the source is told and left out, so that nobody can keep an image from being copied
 * by attaching something broken to it. What a destination refuses is the arrival's error.
 *
 * @throws TranshipError transient and throttled ones of the source
 */
export async function bringReferrers(context: CopyContext, copy: ReferrerCopy): Promise<BroughtReferrers> {
  const { client, signal } = context;
  const { source, arrivals, subjects, choice, since, root } = copy;
  const { referrers, mark, notes } = await findReferrers({ client, signal, source, subjects, choice, since });
  const brought = new Map<Arrival, number>();
  if (referrers.length === 0) return { mark, notes, brought };
  if (root !== undefined && referrers.some(({ subject }) => subject === root.digest)) {
    await forEach(arrivals, async ({ target: { registry, repository } }) => {
      await putManifest(client, { registry, repository, digest: root.digest }, root, { signal });
    });
  }
  const indexes = new Map<Digest, Artifact[]>();
  const slots = createSlots(ARTIFACTS_AT_ONCE);
  const bring = async (referrer: Referrer) => {
    if (!arrivals.some(isAlive)) return;
    const artifact = await readArtifact(context, copy, referrer, notes);
    if (artifact === undefined) return;
    const arrived = await bringOne(context, copy, artifact, notes);
    for (const arrival of arrived) brought.set(arrival, (brought.get(arrival) ?? 0) + 1);
    if (referrer.tag !== undefined || artifact.isLeftOut) return;
    indexes.set(referrer.subject, [...(indexes.get(referrer.subject) ?? []), artifact]);
  };
  await Promise.all(referrers.map((referrer) => slots(() => bring(referrer))));
  for (const [subject, artifacts] of indexes) {
    await forEach(arrivals, (arrival) => keepIndex(context, copy, arrival, subject, artifacts, notes));
  }
  return { mark, notes, brought };
}

interface Artifact extends Referrer {
  manifest: FetchedManifest;
  /** As a list of referrers names it. */
  descriptor: Descriptor;
  isLeftOut: boolean;
}

/** Reads an artifact; undefined where it is not wanted, or is not what the list of referrers says it is. */
async function readArtifact(
  { client, signal }: CopyContext,
  { source, choice }: ReferrerCopy,
  referrer: Referrer,
  notes: string[],
): Promise<Artifact | undefined> {
  const { registry, repository } = source;
  const { subject, digest, tag } = referrer;
  try {
    const manifest = await getManifest(client, { registry, repository, digest }, { signal });
    const { subject: named, artifactType, annotations } = parseArtifact(manifest.bytes);
    if (tag === undefined && named !== subject) {
      notes.push(`${digest} was left out: it is listed for ${subject}, and does not name it as its subject`);
      return undefined;
    }
    if (tag === undefined && !wantsType(choice, artifactType)) return undefined;
    const { mediaType, bytes } = manifest;
    const descriptor = { mediaType, digest, size: bytes.length, artifactType, ...(annotations && { annotations }) };
    return { ...referrer, manifest, descriptor, isLeftOut: false };
  } catch (error) {
    notes.push(leaveOut(error, digest));
    return undefined;
  }
}

/** @returns the arrivals that did not have it before */
async function bringOne(
  context: CopyContext,
  copy: ReferrerCopy,
  artifact: Artifact,
  notes: string[],
): Promise<Arrival[]> {
  const { source, arrivals, trusts } = copy;
  const { manifest, digest, tag } = artifact;
  const parents = new Map<Arrival, Arrival>();
  await forEach(arrivals, async (arrival) => {
    const { registry, repository } = arrival.target;
    const target: Target = tag === undefined ? { registry, repository, digest } : { registry, repository, tag };
    if (!(await isThere(context, arrival, target, digest, trusts)))
      parents.set(createArrival(target, arrival), arrival);
  });
  if (parents.size === 0) return [];
  const own = [...parents.keys()];
  try {
    const content = contentOf(source, manifest);
    await copyImage(context, { source, root: manifest, content, arrivals: own, beforeTag: async () => {} });
  } catch (error) {
    for (const one of own) one.error = toTranshipError(error);
  }
  const arrived: Arrival[] = [];
  for (const [one, arrival] of parents) {
    arrival.bytes += one.bytes;
    arrival.mounted += one.mounted;
    arrival.present += one.present;
    if (one.error === undefined) arrived.push(arrival);
    else if (isOfSource(one.error, source)) {
      artifact.isLeftOut = true;
      notes.push(leaveOut(one.error, digest));
    } else arrival.error ??= refusedReferrer(one.error, artifact);
  }
  return arrived;
}

async function isThere(
  { client, index, signal }: CopyContext,
  arrival: Arrival,
  target: Target,
  digest: Digest,
  trusts: ReferrerCopy['trusts'],
): Promise<boolean> {
  if (target.tag === undefined && trusts === 'ledger') return isKnownAt(index, arrival, digest);
  const head = await headManifest(client, target, { access: 'push', signal });
  return head?.digest === digest;
}

/** Sees to it that the destination tells of the artifacts that refer to a manifest. */
async function keepIndex(
  { client, signal }: CopyContext,
  { exclusively }: ReferrerCopy,
  { target: { registry, repository } }: Arrival,
  subject: Digest,
  artifacts: Artifact[],
  notes: string[],
): Promise<void> {
  const [first] = artifacts;
  const quirks = quirksOf(client, registry);
  if (first !== undefined && quirks.keepsReferrers === undefined) {
    // All of them were there already. Its answer tells whether it keeps such a list.
    await putManifest(client, { registry, repository, digest: first.digest }, first.manifest, { signal });
  }
  if (quirks.keepsReferrers) return;
  const entries = artifacts.filter(({ isLeftOut }) => !isLeftOut).map(({ descriptor }) => descriptor);
  const place = formatRepository({ registry, repository });
  await exclusively(`${place} referrers of ${subject}`, async () => {
    const fault = await addToReferrersIndex(client, { registry, repository }, subject, entries, { signal });
    if (fault !== undefined) notes.push(fault);
  });
}

/** Runs a step for each living arrival; one that fails gets the error. */
async function forEach(arrivals: Arrival[], step: (arrival: Arrival) => Promise<void>): Promise<void> {
  await Promise.all(
    arrivals.filter(isAlive).map(async (arrival) => {
      try {
        await step(arrival);
      } catch (error) {
        arrival.error = toTranshipError(error);
      }
    }),
  );
}

function isOfSource(error: TranshipError, { registry, repository }: Repository): boolean {
  return error.class === 'permanent' && error.site.registry === registry && error.site.repository === repository;
}

/**
 * What is told of an artifact that the source cannot give.
 * @throws TranshipError what may pass
 */
function leaveOut(thrown: unknown, digest: Digest): string {
  const error = toTranshipError(thrown);
  if (error.class !== 'permanent' || error.code === 'aborted') throw error;
  return `${digest}, which refers to the image, was left out: ${error.message}`;
}

function refusedReferrer(error: TranshipError, { digest, tag }: Artifact): TranshipError {
  if (error.class !== 'permanent') return error;
  return rephrase(error, {
    message: `${tag ?? digest}, which refers to the image, cannot be copied: ${error.message}`,
    mend:
      error.mend ??
      'write `referrers: none` into the rule, in a tranship.yaml, to copy the image without its signatures',
  });
}
