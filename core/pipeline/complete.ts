import type { Arrival } from '../copy/context.ts';
import { findReferrers } from '../copy/find-referrers.ts';
import { manifestsOf } from '../copy/manifests-of.ts';
import type { Choice } from '../copy/platforms.ts';
import { bringReferrers } from '../copy/referrers.ts';
import { type Digest, formatRepository } from '../model/reference.ts';
import { defaultReferrers } from '../model/referrer.ts';
import { warnOnce } from '../registry/headers/warning.ts';
import type { FetchedManifest } from '../registry/manifests.ts';
import { inTurn } from './held-lease.ts';
import type { Task } from './ports/queue.ts';
import type { ReferrersSeen } from './ports/sync-records.ts';
import type { TaskDeps } from './task-end.ts';

export interface Completion {
  /** For the ledger. */
  seen: ReferrersSeen;
  /** How many artifacts an arrival did not have. */
  brought: Map<Arrival, number>;
  /** What was left out, for people. */
  note?: string;
}

/** What is to be completed: an image as it goes to its destinations. */
export interface Incomplete {
  choice: Extract<Choice, { kind: 'copy' }>;
  /** Of the source; another one than that of the choice where only some platforms are copied. */
  sourceDigest: Digest;
  arrivals: Arrival[];
  /** The image's own manifest where the arrivals may lack it. */
  root?: FetchedManifest;
}

/**
 * Brings what refers to an image, and to the manifests inside of it, to the arrivals. One that an artifact could not be
 * brought to has the error.
 *
 * @returns undefined where the rule wants nothing of the kind
 * @throws TranshipError transient and throttled ones of the source
 */
export async function completeImage(deps: TaskDeps, task: Task, image: Incomplete): Promise<Completion | undefined> {
  const { copy, ledger, now } = deps;
  const { client, signal } = copy;
  const { source, pushed, plannedAt, referrers: choice = defaultReferrers } = task;
  const { arrivals, root, sourceDigest } = image;
  if (choice.types.length === 0 || arrivals.length === 0) return undefined;
  const at = now();
  const children = await manifestsOf({ client, source, signal }, image.choice.content);
  const isWhole = image.choice.root.digest === sourceDigest;
  const since = pushed ? plannedAt : undefined;
  const { mark, notes, brought } = await bringReferrers(copy, {
    source,
    // Nobody signed what a filter of platforms made of an index.
    subjects: [...(isWhole ? [sourceDigest] : []), ...children],
    root: isWhole ? root : undefined,
    arrivals,
    // What is to be completed may have lost something.
    trusts: root === undefined ? 'heads' : 'ledger',
    choice,
    since,
    exclusively: (key, work) => inTurn(ledger, key, { signal }, work),
  });
  if (!isWhole) await tellOfUnsigned(deps, task, sourceDigest);
  for (const note of notes) warnOnce(client, formatRepository(source), note);
  const [first, ...more] = notes;
  return {
    seen: { at, mark, manifests: children },
    brought,
    ...(first !== undefined && { note: more.length === 0 ? first : `${first}; and ${more.length} more` }),
  };
}

/** Says once that the index at the destination is another one than that which was signed. */
async function tellOfUnsigned({ copy: { client, signal } }: TaskDeps, task: Task, digest: Digest): Promise<void> {
  const { source, referrers: choice = defaultReferrers } = task;
  const { referrers } = await findReferrers({ client, signal, source, subjects: [digest], choice });
  if (referrers.length === 0) return;
  const place = formatRepository(source);
  warnOnce(
    client,
    place,
    `${place} has signatures of whole indexes: the rule copies only some platforms, in indexes that nobody signed; ` +
      'the signatures of the images inside come along',
  );
}
