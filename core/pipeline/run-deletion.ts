import type { CopyContext } from '../copy/context.ts';
import { toFailure } from '../model/errors.ts';
import { type Digest, formatTarget, type Target } from '../model/reference.ts';
import { deleteTag, placeholderDigest } from '../registry/delete-tag.ts';
import { headManifest, isTagGone } from '../registry/manifests.ts';
import type { HeldLease } from './held-lease.ts';
import { outcomeOf } from './outcome.ts';
import type { Task } from './ports/queue.ts';
import type { Outcome } from './ports/runs.ts';
import type { SyncRecord, SyncRecords } from './ports/sync-records.ts';

export interface DeletionDeps {
  copy: Pick<CopyContext, 'client' | 'signal' | 'emit'>;
  ledger: Pick<SyncRecords, 'read' | 'write'>;
  now: () => number;
}

/**
 * Deletes the task's destinations, each only if it still holds what was copied there, and the source still lacks the
 * tag. Both are asked right before: the task may be old, doubled, or come after the tag was pushed again. Never throws.
 *
 * @param leases of the destinations to work on
 */
export function runDeletion(deps: DeletionDeps, task: Task, leases: Map<Target, HeldLease>): Promise<Outcome[]> {
  return Promise.all(
    [...leases].map(async ([target, lease]): Promise<Outcome> => {
      try {
        const fields = await deleteOne(deps, task, target, lease);
        return outcomeOf(task, target, { ...fields, at: deps.now() });
      } catch (error) {
        return outcomeOf(task, target, { result: 'failed', failure: toFailure(error), at: deps.now() });
      }
    }),
  );
}

type Fields = Pick<Outcome, 'result' | 'note' | 'sourceDigest' | 'destinationDigest'>;

async function deleteOne(deps: DeletionDeps, task: Task, target: Target, lease: HeldLease): Promise<Fields> {
  const { copy, ledger, now } = deps;
  const { client, signal } = copy;
  const keep = (note: string): Fields => ({ result: 'unchanged', note });
  const record = await ledger.read(target);
  const { registry, repository, tag } = target;
  if (record === undefined || tag === undefined) return keep('kept: the ledger does not know it');
  const { destinationDigest } = record;
  if (record.how === 'deleted' || record.how === 'gone') return keep('it is not there any more');
  if (record.how !== 'copied' || formatTarget(record.source) !== formatTarget(task.source) || !destinationDigest) {
    return keep('kept: it came from elsewhere');
  }
  if (record.at >= task.plannedAt) return keep('kept: it was copied again');
  if (task.deletion === 'gone' && !(await isTagGone(client, task.source, { signal }))) {
    return keep('kept: the source has it');
  }
  const write = (how: SyncRecord['how']) => ledger.write({ ...record, how, at: Math.max(now(), record.at + 1) });
  const head = await headManifest(client, target, { access: 'push', signal });
  if (head === undefined) {
    await write('gone');
    return keep('it is not there any more');
  }
  const isHalfDone = head.digest === placeholderDigest(target);
  if (head.digest !== destinationDigest && !isHalfDone) return keepChanged(head.digest);
  await lease.keep();
  const end = await deleteTag(client, { registry, repository, tag }, head.digest, { signal });
  if (end === 'needed') return keep('kept: an index that stays names it');
  if (end === 'changed') return keepChanged();
  await write('deleted');
  return { result: 'deleted', sourceDigest: record.sourceDigest, destinationDigest };

  async function keepChanged(digest?: Digest): Promise<Fields> {
    await write('gone');
    const what = digest === undefined ? 'another image is there' : `${digest} is there`;
    const message = `kept: ${what}, which was not copied by this rule`;
    copy.emit({ type: 'warning', message: `${formatTarget(target)} is ${message}` });
    return keep(message);
  }
}
