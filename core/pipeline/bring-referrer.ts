import { type Arrival, createArrival, isAlive } from '../copy/context.ts';
import { cutOffsOf } from '../copy/cut-off.ts';
import { bringReferrers } from '../copy/referrers.ts';
import { hasCode, toFailure, toTranshipError } from '../model/errors.ts';
import { parseArtifact } from '../model/manifest.ts';
import type { Digest, Target } from '../model/reference.ts';
import { defaultReferrers, subjectOfTag } from '../model/referrer.ts';
import { getManifest, headManifest } from '../registry/manifests.ts';
import { awaitAnnounced, nextPatientLook } from './announced.ts';
import { inTurn } from './held-lease.ts';
import { outcomeOf } from './outcome.ts';
import type { Task } from './ports/queue.ts';
import type { Outcome } from './ports/runs.ts';
import type { TaskDeps, TaskEnd } from './task-end.ts';

/**
 * Brings an announced signature, attestation or SBOM, and what else refers to the same image, to the destinations that
 * have the image. Never throws for what can happen to a copy.
 */
export async function bringReferrer(deps: TaskDeps, task: Task): Promise<TaskEnd> {
  const { copy, ledger, now } = deps;
  const { client, signal } = copy;
  const { source, referrers: choice = defaultReferrers, plannedAt } = task;
  const arrivals = task.destinations.map((target) => createArrival(target));
  const end = (brought: ReadonlyMap<Arrival, number>, note?: string): TaskEnd => {
    const outcomes = arrivals.map((arrival): Outcome => {
      const { error, target, bytes, mounted, present } = arrival;
      const result = error !== undefined ? 'failed' : (brought.get(arrival) ?? 0) > 0 ? 'copied' : 'unchanged';
      const failure = error && toFailure(error);
      return outcomeOf(task, target, { result, at: now(), failure, bytes, mounted, present, note });
    });
    const isBusy = ({ failure }: Outcome) => failure?.code === 'lease-held';
    return {
      kind: 'ended',
      outcomes: outcomes.filter((outcome) => !isBusy(outcome)),
      busy: outcomes.filter(isBusy).map(({ destination }) => destination),
      cutOffs: cutOffsOf(arrivals),
    };
  };
  const fail = (thrown: unknown): TaskEnd => {
    for (const arrival of arrivals.filter(isAlive)) arrival.error = toTranshipError(thrown);
    return end(new Map());
  };
  const awaitArtifact = async (): Promise<TaskEnd> => {
    const absent = await awaitAnnounced(deps, task, 'nothing');
    return absent?.kind === 'early' ? absent : end(new Map(), absent?.note);
  };
  try {
    const subject = await subjectOf(deps, source);
    if (subject === 'nothing') return await awaitArtifact();
    if (subject === undefined) return end(new Map(), 'it refers to no other image');
    const having = new Set<Arrival>();
    for (const arrival of arrivals) {
      const { registry, repository } = arrival.target;
      const place: Target = { registry, repository, digest: subject };
      if ((await headManifest(client, place, { access: 'push', signal })) !== undefined) having.add(arrival);
    }
    if (having.size === 0) {
      const again = nextPatientLook(plannedAt, now());
      if (again !== undefined) return { kind: 'early', again };
      return end(new Map(), `${subject}, which it refers to, is not there`);
    }
    const { brought, notes } = await bringReferrers(copy, {
      source,
      subjects: [subject],
      arrivals: [...having],
      trusts: 'heads',
      choice,
      since: plannedAt,
      exclusively: (key, work) => inTurn(ledger, key, { signal }, work),
    });
    const isThere =
      brought.size > 0 || notes.length > 0 || (await headManifest(client, source, { signal })) !== undefined;
    return isThere ? end(brought, notes[0]) : await awaitArtifact();
  } catch (error) {
    return fail(error);
  } finally {
    await copy.index.flush().catch(() => {});
  }
}

/**
 * The manifest that an artifact refers to, by its tag or by what it says itself. `nothing`: the artifact is not there.
 */
async function subjectOf(
  { copy: { client, signal } }: TaskDeps,
  source: Target,
): Promise<Digest | 'nothing' | undefined> {
  if (source.tag !== undefined) return subjectOfTag(source.tag);
  try {
    const { bytes } = await getManifest(client, source, { signal });
    return parseArtifact(bytes).subject;
  } catch (error) {
    if (hasCode(error, 'not-found')) return 'nothing';
    throw error;
  }
}
