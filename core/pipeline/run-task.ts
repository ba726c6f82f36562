import { type Arrival, type CopyContext, createArrival, isAlive } from '../copy/context.ts';
import { type CutOff, cutOffsOf } from '../copy/cut-off.ts';
import { copyImage } from '../copy/image.ts';
import { chooseContent } from '../copy/platforms.ts';
import { hasCode, rephrase, toFailure, toTranshipError } from '../model/errors.ts';
import { platformKey } from '../model/platform.ts';
import { type Digest, formatTarget, type Repository, type Target } from '../model/reference.ts';
import { type FetchedManifest, getManifest, headManifest } from '../registry/manifests.ts';
import { requireSignature } from '../signatures/require.ts';
import { awaitAnnounced, nextLook, nextPatientLook } from './announced.ts';
import { bringReferrer } from './bring-referrer.ts';
import { type Completion, completeImage } from './complete.ts';
import { withEndpoints } from './endpoints.ts';
import { type HeldLease, holdLease } from './held-lease.ts';
import { outcomeOf } from './outcome.ts';
import type { Task } from './ports/queue.ts';
import type { Outcome } from './ports/runs.ts';
import { isStanding, type ReferrersSeen, type SyncRecord } from './ports/sync-records.ts';
import { pullCounter } from './pull-budget.ts';
import { runDeletion } from './run-deletion.ts';
import type { Early, TaskDeps, TaskEnd } from './task-end.ts';

/** The image was there, and something that refers to it was not. */
const completed = { result: 'copied', note: 'what refers to it' } as const;

/**
 * Makes the task's destinations equal to what its source is now, whatever it was when the task was sent; or deletes
 * them where the task says so. Never throws for what can happen to a copy: every destination ends in an outcome or in
 * `busy`, or the task is `early`.
 */
export async function runTask(given: TaskDeps, task: Task): Promise<TaskEnd> {
  const deps = { ...given, copy: contextOf(given, task) };
  const again = await nextLook(deps, task);
  if (again !== undefined) return { kind: 'early', again };
  if (task.part === 'referrer') return bringReferrer(deps, task);
  const leases = new Map<Target, HeldLease>();
  let leaving: Promise<unknown> | undefined;
  // Blob places only save requests: losing some must not keep the leases.
  const leave = () => {
    leaving ??= Promise.all([
      deps.copy.index.flush().catch(() => {}),
      shareQuota(deps, task.source).catch(() => {}),
      ...[...leases.values()].map((lease) => lease.release()),
    ]);
    return leaving;
  };
  try {
    const taken = await Promise.allSettled(
      task.destinations.map((target) => holdLease(deps.ledger, formatTarget(target), deps.owner)),
    );
    for (const [position, target] of task.destinations.entries()) {
      const held = taken[position];
      if (held?.status === 'fulfilled' && held.value !== undefined) leases.set(target, held.value);
    }
    for (const held of taken) if (held.status === 'rejected') throw held.reason;
    const work = task.deletion === undefined ? equalise : runDeletion;
    const cutOffs = new Map<Target, CutOff>();
    const tagged = new Set<Target>();
    const outcomes = leases.size === 0 ? [] : await work(deps, task, leases, cutOffs, tagged, leave);
    if ('kind' in outcomes) return outcomes;
    const unsignedUntil = lookForSignature(task, outcomes, deps.now());
    if (unsignedUntil !== undefined) return { kind: 'early', again: unsignedUntil };
    // Another worker is writing the destination, or uploads one of its blobs.
    const isDone = ({ failure }: Outcome) => failure?.code !== 'lease-held';
    const done = new Set(outcomes.filter(isDone).map(({ destination }) => destination));
    return {
      kind: 'ended',
      outcomes: outcomes.filter(isDone),
      busy: task.destinations.filter((target) => !done.has(target)),
      cutOffs,
      written: outcomes.flatMap(({ failure, destination }) => (failure && tagged.has(destination) ? destination : [])),
    };
  } finally {
    await leave();
  }
}

/**
 * @param tagged is told the destinations whose tag is written, before it is
 * @param leave gives the leases back. Called when the last tag is written, together with the records of what was copied:
 *   a host that gathers changes then makes one transaction of them
 */
async function equalise(
  deps: TaskDeps,
  task: Task,
  leases: Map<Target, HeldLease>,
  cutOffs: Map<Target, CutOff>,
  tagged: Set<Target>,
  leave: () => Promise<unknown>,
): Promise<Outcome[] | Early> {
  const { copy, ledger } = deps;
  // What was seen when it was planned says nothing after a try.
  const lacking = task.attempt === 0 && task.redriven === undefined ? task.lacking : undefined;
  const isEmpty = lacking === 'everything';
  const startedAt = deps.now();
  const equalResult = task.written ? 'copied' : 'unchanged';
  const arrivals = [...leases.keys()].map((target) => createArrival(target, { isEmpty }));
  const notes = new Map<Arrival, Pick<Outcome, 'result' | 'note'>>();
  let digest: Digest | undefined;
  let copied: Digest | undefined;
  const outcomes = (): Outcome[] =>
    arrivals.map((arrival) => {
      const { target, error, bytes, mounted, present } = arrival;
      return outcomeOf(task, target, {
        sourceDigest: digest,
        ...(copied !== undefined && isAlive(arrival) && { destinationDigest: copied }),
        ...(error === undefined
          ? (notes.get(arrival) ?? { result: 'copied' })
          : { result: 'failed', failure: toFailure(error) }),
        bytes,
        mounted,
        present,
        at: deps.now(),
      });
    });
  try {
    const manifest = await readSource(deps, task);
    if (manifest === undefined) {
      const absent = await awaitAnnounced(deps, task, 'nothing');
      if (absent?.kind === 'early') return absent;
      for (const arrival of arrivals) notes.set(arrival, { result: 'unchanged', note: absent?.note });
      return outcomes();
    }
    const sourceDigest = manifest.digest;
    digest = sourceDigest;
    const { client, signal } = copy;
    if (task.require !== undefined) {
      const since = task.pushed ? task.plannedAt : undefined;
      await requireSignature({ client, since, signal }, task.source, sourceDigest, task.require);
    }
    const choice = await chooseContent(copy, task.source, manifest, task.platforms);
    copied = choice.kind === 'copy' ? choice.root.digest : undefined;
    const written = { source: task.source, sourceDigest, destinationDigest: copied };
    const record = (arrival: Arrival, how: SyncRecord['how'], referrers?: ReferrersSeen) =>
      ledger.write({
        destination: arrival.target,
        ...written,
        platforms: platformKey(task.platforms),
        at: deps.now(),
        how,
        ...(referrers && { referrers }),
      });
    if (choice.kind === 'empty') {
      for (const arrival of arrivals) {
        await record(arrival, 'empty');
        notes.set(arrival, { result: 'unchanged', note: choice.note });
      }
      return outcomes();
    }
    const equal = new Map<Arrival, Equality>();
    await Promise.all(
      arrivals.map(async (arrival) => {
        const look = await findEqual(deps, task, arrival, { sourceDigest, root: choice.root.digest, lacking });
        if (look.isLost) arrival.confirmedSince = task.redriven === undefined ? task.plannedAt : startedAt;
        if (look.equal !== undefined) equal.set(arrival, look.equal);
      }),
    );
    for (const arrival of arrivals) if (equal.get(arrival) === 'recorded') notes.set(arrival, { result: equalResult });
    const found = arrivals.filter((arrival) => isAlive(arrival) && equal.has(arrival) && !notes.has(arrival));
    const old = await completeImage(deps, task, { choice, sourceDigest, arrivals: found });
    const isAsBefore = (arrival: Arrival) =>
      isAlive(arrival) && equal.get(arrival) === 'as-before' && old?.brought.get(arrival) === undefined;
    const missed = arrivals.every(isAsBefore) ? await awaitAnnounced(deps, task, sourceDigest) : undefined;
    if (missed?.kind === 'early') return missed;
    for (const arrival of found.filter(isAlive)) {
      await record(arrival, 'found', old?.seen);
      notes.set(
        arrival,
        old?.brought.get(arrival) === undefined ? { result: equalResult, note: missed?.note ?? old?.note } : completed,
      );
    }
    const wanting = arrivals.filter((arrival) => isAlive(arrival) && !equal.has(arrival));
    let fresh: Completion | undefined;
    await copyImage(copy, {
      source: task.source,
      ...choice,
      arrivals: wanting,
      async beforeTags(ready) {
        fresh = await completeImage(deps, task, { choice, sourceDigest, arrivals: ready, root: choice.root });
      },
      async beforeTag(arrival) {
        await leases.get(arrival.target)?.keep();
        tagged.add(arrival.target);
      },
    });
    const recorded = wanting.filter(isAlive).map((arrival) => record(arrival, 'copied', fresh?.seen));
    await Promise.all([...recorded, leave()]);
    for (const arrival of wanting.filter(isAlive)) {
      if (fresh?.note !== undefined) notes.set(arrival, { result: 'copied', note: fresh.note });
    }
  } catch (error) {
    for (const arrival of arrivals.filter(isAlive)) {
      if (!notes.has(arrival)) arrival.error = toTranshipError(error);
    }
  }
  for (const [target, cutOff] of cutOffsOf(arrivals)) cutOffs.set(target, cutOff);
  return outcomes();
}

/**
 * The copy's context, in which the source is read by way of its endpoints, and each pull from it is counted against the
 * budget of the task's rule.
 */
function contextOf({ copy, ledger, now }: TaskDeps, { ruleId, source, endpoints, pulls }: Task): CopyContext {
  const reading = withEndpoints(copy, source, endpoints);
  if (pulls === undefined) return reading;
  const count = pullCounter(ledger, { ruleId, budget: pulls, now });
  const beforePull = async ({ registry }: Repository) => {
    if (registry === source.registry) await count();
  };
  return { ...reading, client: { ...reading.client, options: { ...reading.client.options, beforePull } } };
}

/** Tells the other workers, and `status`, what a registry said of its quota of pulls. */
async function shareQuota({ copy: { client }, ledger }: TaskDeps, { registry }: Repository): Promise<void> {
  const quota = client.quotas.get(registry);
  if (quota === undefined) return;
  const { limit, remaining, windowMs, at } = quota;
  await ledger.noteQuota({ registry, limit, remaining: Math.max(0, remaining), windowMs, at });
}

/**
 * Reads the source's manifest. An announced push may be history: the tag was deleted meanwhile, the event was a test or
 * came late. So an announced tag that the registry does not have is not a failure.
 *
 * @returns undefined for an announced tag that is not at the source
 */
async function readSource({ copy }: TaskDeps, task: Task): Promise<FetchedManifest | undefined> {
  const { client, signal } = copy;
  try {
    return await getManifest(client, await pinned(copy, task), { signal });
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
    if (task.pushed) return undefined;
    throw rephrase(error, {
      mend: 'a rule or the tag list of the source names it: it was deleted since, or never was there',
    });
  }
}

/**
 * An image is pushed before it is signed: one that was announced is looked at again for some minutes.
 * @returns epoch ms; undefined where there is nothing to wait for
 */
function lookForSignature({ pushed, plannedAt }: Task, outcomes: Outcome[], now: number): number | undefined {
  if (!pushed || !outcomes.some(({ failure }) => failure?.code === 'unsigned')) return undefined;
  return nextPatientLook(plannedAt, now);
}

/**
 * The source by its digest, where it has endpoints: they are believed what a digest names, and not which one a tag is.
 * The registry itself is asked for that, by HEAD, which no quota counts.
 */
async function pinned({ client, signal }: CopyContext, { source, endpoints }: Task): Promise<Target> {
  if (endpoints === undefined || source.tag === undefined) return source;
  const head = await headManifest(client, source, { isNamed: true, signal });
  const { registry, repository } = source;
  return head === undefined ? source : { registry, repository, digest: head.digest };
}

/** `as-before`: it was found equal, and the ledger knew so before the task was planned. */
type Equality = 'recorded' | 'found' | 'as-before';

/** What was found out of a destination before the copy. */
interface Look {
  /** How it is known to be equal already; undefined where it is to be copied. */
  equal?: Equality;
  /**
   * What we brought there was lost, or may have been: then its blobs may be lost as well, and what the ledger knows of
   * the repository is not believed. A tag that moved at its source has lost nothing.
   */
  isLost: boolean;
}

/**
 * Finds out whether the destination is equal already: by the ledger, if it learned so after the task was planned (a
 * doubled task), otherwise by one HEAD, unless the planner has just seen that it lacks the image.
 */
async function findEqual(
  { copy, ledger }: TaskDeps,
  task: Task,
  arrival: Arrival,
  { sourceDigest, root, lacking }: { sourceDigest: Digest; root: Digest; lacking: Task['lacking'] },
): Promise<Look> {
  const isDoubted = task.force || task.redriven !== undefined;
  try {
    const record = await ledger.read(arrival.target);
    const isSame = record?.sourceDigest === sourceDigest && record.platforms === platformKey(task.platforms);
    const isStandingRecord = record !== undefined && isStanding(record);
    if (isStandingRecord && record.at >= task.plannedAt && isSame) return { equal: 'recorded', isLost: false };
    const wasLost = record !== undefined && (!isStandingRecord || lacking === 'everything');
    if (task.force || lacking !== undefined) return { isLost: isDoubted || wasLost || isSame };
    const head = await headManifest(copy.client, arrival.target, { access: 'push', signal: copy.signal });
    // What was noted to be gone and is there again may not be whole.
    const isBroken = record?.how === 'gone' && record.destinationDigest === root;
    if (head?.digest === root && !isBroken)
      return { equal: isStandingRecord && isSame ? 'as-before' : 'found', isLost: isDoubted };
    const isOther = isStandingRecord && record.how !== 'empty' && record.destinationDigest !== head?.digest;
    return { isLost: isDoubted || wasLost || isOther };
  } catch (error) {
    const failure = toTranshipError(error);
    // A destination that does not tell may still take the push: a login may push but not read, the push may create the
    // repository, a policy may forbid to read what is there (Harbor says 412), or what is there may be damaged.
    const { status } = failure.site;
    const isRefusal = failure.class === 'permanent' ? status !== undefined : status === 500;
    if (!isRefusal && !hasCode(failure, 'unauthorized', 'denied')) arrival.error = failure;
    return { isLost: isDoubted };
  }
}
