import type { Choice } from '../copy/platforms.ts';
import { hasCode, type TranshipError, toTranshipError } from '../model/errors.ts';
import { isIndexType } from '../model/media-types.ts';
import type { Digest, Target } from '../model/reference.ts';
import type { ReferrerChoice } from '../model/referrer.ts';
import type { Rule } from '../model/rule.ts';
import { headManifest } from '../registry/manifests.ts';
import { paceOf } from '../registry/pace.ts';
import type { ChildLook } from './children.ts';
import {
  askCompleteness,
  type CompletenessDeps,
  type EqualImage,
  knownCompleteness,
  verifyReferrers,
} from './completeness.ts';
import type { Lacking } from './ports/queue.ts';
import { isStanding, type ReferrersSeen, type SyncRecord } from './ports/sync-records.ts';

/** How one destination of a tag stands to its source. */
export interface DestinationState {
  target: Target;
  /**
   * `in-step` by ledger and tag list; `found` equal, but the ledger does not know; `new`: not there; `changed`: another
   * digest is there; `incomplete`: equal, and something that it leads to or that refers to it is not there; `unknown`:
   * source or destination did not tell.
   */
  state: 'in-step' | 'found' | 'new' | 'changed' | 'incomplete' | 'unknown';
  record: SyncRecord | undefined;
  /** With `in-step`: no platform of the source passes the filter, so nothing is brought. */
  isEmpty?: boolean;
  /** With `new` and `changed`: what was seen to be missing there. */
  lacking?: Lacking;
  /** With `in-step` and `found`: what was seen of the artifacts that refer to it, where that is worth keeping. */
  seen?: ReferrersSeen;
  /** With `incomplete`: tags and digests of what refers to it and is not there, where the destination was asked. */
  missing?: string[];
  /** With `incomplete`: manifests inside of its index that are not there, where the destination was asked. */
  lost?: Digest[];
  /** Digest at the destination, where it was asked for. */
  actual?: Digest;
  /** Digest that is to be there where only some platforms are, as far as the source was asked for it. */
  wanted?: Digest;
  /** Why the destination did not tell. */
  error?: TranshipError;
}

/**
 * All tags of a destination repository. `not-listed`: it gives no list, so its tags are asked for one by one.
 * `unreachable`: it gives no answer at the moment, so what the ledger knows is believed: a registry that is down must
 * not turn every tag that is in step into a task that fails.
 */
export type Listed = Set<string> | 'not-listed' | 'unreachable';

/** What a destination is known to have of a tag. */
export interface Look {
  target: Target;
  record: SyncRecord | undefined;
  tags: Listed | undefined;
  /** By the tag list, or why it does not tell. */
  isPresent: boolean | 'not-listed' | 'unreachable';
  /** Where it is not present. */
  lacking?: Lacking;
}

type Compared = Pick<DestinationState, 'state' | 'isEmpty' | 'lacking' | 'actual' | 'wanted' | 'error'> & {
  isIndex?: boolean;
};
type Completed = Partial<Pick<DestinationState, 'state' | 'seen' | 'missing' | 'lost' | 'error'>>;

/**
 * Looks at what refers to an image that is equal. No promise where nobody is asked: that is so for nearly all tags.
 * @param children asks for the manifests inside of it, too, and believes nothing
 */
export function complete(
  deps: CompletenessDeps,
  { referrers }: Rule,
  { source, digest, target, record, tags }: Look & { source: Target; digest: Digest | undefined },
  { state, isEmpty, isIndex, actual }: Compared,
  children: ChildLook | undefined,
): Completed | undefined | Promise<Completed> {
  const isEqual = state === 'in-step' || state === 'found';
  if (!isEqual || digest === undefined || isEmpty) return undefined;
  const image = { source, digest, target, record, actual, tags: typeof tags === 'string' ? undefined : tags };
  if (children !== undefined) {
    const lost = isIndex && actual !== undefined ? () => children(target, actual) : async () => [];
    return verifyComplete(deps, image, referrers, lost);
  }
  const known = knownCompleteness(deps, image, referrers);
  if (known !== undefined) return known ? undefined : { state: 'incomplete' };
  return askComplete(deps, image, referrers);
}

async function verifyComplete(
  deps: CompletenessDeps,
  image: EqualImage,
  choice: ReferrerChoice | undefined,
  findLost: () => Promise<Digest[]>,
): Promise<Completed> {
  try {
    const [lost, missing] = await Promise.all([findLost(), verifyReferrers(deps, image, choice)]);
    return lost.length + missing.length > 0 ? { state: 'incomplete', lost, missing } : {};
  } catch (thrown) {
    return { state: 'unknown', error: unlessStopped(thrown) };
  }
}

async function askComplete(deps: CompletenessDeps, image: EqualImage, choice: ReferrerChoice | undefined) {
  try {
    const { isComplete, seen } = await askCompleteness(deps, image, choice);
    return isComplete ? { seen } : { state: 'incomplete' as const };
  } catch (thrown) {
    unlessStopped(thrown);
    // The image itself is in step: what refers to it is asked for in the next run.
    return {};
  }
}

/** Whether the target is there by the tag list. A digest without a tag is in no list: it is asked for. */
export function isThere(
  tags: Listed | undefined,
  target: Target,
  record: SyncRecord | undefined,
): Pick<Look, 'isPresent' | 'lacking'> {
  if (target.tag === undefined) return { isPresent: 'not-listed' };
  if (tags === undefined || typeof tags === 'string') return { isPresent: tags ?? 'not-listed' };
  if (tags.has(target.tag)) return { isPresent: true };
  if (tags.size === 0) return { isPresent: false, lacking: 'everything' };
  // One that we brought, and that is gone: the copier is to see that for itself, and to ask for its blobs.
  return record !== undefined && isStanding(record) && record.how !== 'empty'
    ? { isPresent: false }
    : { isPresent: false, lacking: 'image' };
}

/** Whatever the source has now is to be copied there. Not so where a filter left nothing to copy. */
export function isSurelyNew({ isPresent, record }: Look, platforms: string): boolean {
  return isPresent === false && !(record?.how === 'empty' && record.platforms === platforms);
}

interface Given extends Look {
  digest: Digest | undefined;
  platforms: string;
  verify: boolean;
}

/** The record of an image of these platforms that still stands. */
function ownRecord(record: SyncRecord | undefined, platforms: string): SyncRecord | undefined {
  return record !== undefined && isStanding(record) && record.platforms === platforms ? record : undefined;
}

/** How a destination stands to the source where its ledger and its tag list tell that. */
export function compareKnown({ record, isPresent, lacking, digest, platforms, verify }: Given): Compared | undefined {
  const own = ownRecord(record, platforms);
  const isRecorded = own !== undefined && own.sourceDigest === digest;
  if (isRecorded && own.how === 'empty') return { state: 'in-step', isEmpty: true };
  if (isRecorded && (isPresent === true || isPresent === 'unreachable') && !verify) return { state: 'in-step' };
  if (isPresent === false) return { state: digest === undefined ? 'unknown' : 'new', lacking };
  if (verify || isRecorded) return undefined;
  // The ledger knows another digest there: whoever changed it, it is to be made equal.
  if (own !== undefined && digest !== undefined) return { state: 'changed', lacking: 'image' };
  // A subset has a digest of its own, which only the ledger or the copy itself can tell.
  return platforms === '' ? undefined : { state: isPresent === true ? 'changed' : 'unknown' };
}

/**
 * As {@link compareKnown} and {@link compareAsked}, believing nothing but which subset of an index was copied.
 * @param choose what the filter leaves of the source's image
 */
export async function compareVerified(
  deps: CompletenessDeps,
  given: Given,
  choose: (digest: Digest) => Promise<Choice>,
): Promise<Compared> {
  const { record, digest, platforms } = given;
  const isRecorded = digest !== undefined && ownRecord(record, platforms)?.sourceDigest === digest;
  if (isRecorded || platforms === '' || digest === undefined)
    return compareKnown(given) ?? (await compareAsked(deps, given));
  try {
    const choice = await choose(digest);
    const wanted = choice.kind === 'copy' ? choice.root.digest : undefined;
    if (wanted === undefined) return { state: 'in-step', isEmpty: true };
    return { ...(compareKnown(given) ?? (await compareAsked(deps, given, wanted))), wanted };
  } catch (thrown) {
    return { state: 'unknown', error: unlessStopped(thrown) };
  }
}

/**
 * The same where the destination is to be asked.
 * @param subset digest that is to be there where only some platforms are
 */
export async function compareAsked(
  { client, signal }: CompletenessDeps,
  { target, record, digest, platforms, verify }: Given,
  subset?: Digest,
): Promise<Compared> {
  const own = ownRecord(record, platforms);
  const isRecorded = own !== undefined && own.sourceDigest === digest;
  try {
    const ask = () => headManifest(client, target, { access: 'push', signal });
    const head = await paceOf(client, target.registry).ask(ask);
    if (head === undefined) return { state: 'new', lacking: 'image' };
    if (digest === undefined) return { state: 'unknown', actual: head.digest };
    const wanted = isRecorded ? own.destinationDigest : platforms === '' ? digest : subset;
    if (head.digest !== wanted) {
      return { state: 'changed', ...(wanted !== undefined && { lacking: 'image' }), actual: head.digest };
    }
    // What was noted to be gone and is there again may not be whole: verify saw a part of it missing.
    const isBroken = !verify && record?.how === 'gone' && record.destinationDigest === head.digest;
    if (isBroken) return { state: 'changed', actual: head.digest };
    return { state: isRecorded ? 'in-step' : 'found', actual: head.digest, isIndex: isIndexType(head.mediaType) };
  } catch (thrown) {
    const error = unlessStopped(thrown);
    return isRecorded && !verify ? { state: 'in-step' } : { state: 'unknown', error };
  }
}

/** Errors that end the expansion are thrown on; the others are one tag's. */
export function unlessStopped(thrown: unknown): TranshipError {
  const error = toTranshipError(thrown);
  if (error.class === 'throttled' || hasCode(error, 'aborted')) throw error;
  return error;
}
