import type { FunctionName } from './function-code.ts';
import type { LedgerTable } from './ledger-table.ts';
import type { RoleHolder } from './role-holder.ts';

interface LedgerRight {
  actions: string[];
  /** Partition keys, by patterns; all where they are missing. `createLedger` says what is where. */
  keys?: string[];
}

/**
 * What each function may do to the ledger. The webhook, which strangers talk to, reaches only runs of pushes: it can
 * neither say that a tag is in step nor park a registry.
 */
const rights: Record<FunctionName, LedgerRight[]> = {
  planner: [
    { actions: ['dynamodb:GetItem', 'dynamodb:Query'] },
    { actions: ['dynamodb:PutItem'], keys: ['repo#*', 'run#*', 'runs'] },
    { actions: ['dynamodb:UpdateItem'], keys: ['run#*', 'parks'] },
  ],
  copier: [
    { actions: ['dynamodb:GetItem', 'dynamodb:Query'] },
    { actions: ['dynamodb:PutItem'], keys: ['repo#*', 'run#*', 'upload#*', 'pulls', 'quotas'] },
    { actions: ['dynamodb:UpdateItem'], keys: ['lease#*', 'parks'] },
    { actions: ['dynamodb:DeleteItem'], keys: ['lease#*', 'upload#*'] },
    { actions: ['dynamodb:BatchWriteItem'], keys: ['blob#*'] },
  ],
  redrive: [
    { actions: ['dynamodb:GetItem', 'dynamodb:Query'] },
    { actions: ['dynamodb:PutItem'], keys: ['run#*', 'runs'] },
  ],
  webhook: [
    { actions: ['dynamodb:GetItem'], keys: ['run#push-*'] },
    { actions: ['dynamodb:PutItem'], keys: ['run#push-*', 'runs'] },
  ],
};

export function allowLedger(target: RoleHolder, name: FunctionName, { table }: LedgerTable): void {
  for (const { actions, keys } of rights[name]) {
    target.allow(actions, [table.tableArn], keys && { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': keys } });
  }
}
