import { type ConditionKeys, conditionsHold, matches, type Statement, statementsOf } from './policy.ts';
import type { Resolved } from './template.ts';

/** A call of an AWS API, as IAM sees it. */
export interface ApiCall {
  /** Logical id of the role that made it. */
  role: string;
  /** `sqs:SendMessage`. */
  action: string;
  /** ARN, or `*` for an action that has no resource. */
  resource: string;
  /** Condition keys of the request. */
  keys?: ConditionKeys;
}

export interface Permissions {
  /** Notes the call; false where the role's policies do not allow it. */
  check(call: ApiCall): boolean;
  /** What was asked for and is not allowed, each once, `role: action on resource`. */
  denied(): string[];
  /** What the roles may do and nobody did, each once, `role: action on resource`. */
  unused(): string[];
}

interface Grant {
  role: string;
  effect: string;
  action: string;
  resource: string;
  condition: Statement['Condition'];
  used: boolean;
}

/** Allows writing logs, which functions of the host do by their output. */
const basicExecution = /:policy\/service-role\/AWSLambda(BasicExecution|VPCAccessExecution)Role$/;

/**
 * The identity policies of a template's roles: those in the roles, and those attached to them. A resource's own policy,
 * a permission boundary and a key's policy are not looked at.
 *
 * @throws for a managed policy that it does not know
 */
export function readPermissions(template: Resolved): Permissions {
  const grants: Grant[] = [];
  const add = (role: string, document: unknown) => {
    for (const { Effect, Action, Resource, Condition } of statementsOf(document)) {
      for (const action of [Action].flat()) {
        for (const resource of [Resource].flat()) {
          grants.push({ role, effect: Effect, action, resource, condition: Condition, used: false });
        }
      }
    }
  };
  const roleIds = new Map<unknown, string>();
  for (const { id, properties } of template.ofType('AWS::IAM::Role')) {
    roleIds.set(template.resolve({ Ref: id }), id);
    for (const policy of (properties.Policies ?? []) as Record<string, unknown>[]) add(id, policy.PolicyDocument);
    for (const managed of (properties.ManagedPolicyArns ?? []) as string[]) {
      if (!basicExecution.test(managed)) throw new Error(`the host does not know the managed policy ${managed}`);
    }
  }
  for (const { properties } of template.ofType('AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy')) {
    for (const name of (properties.Roles ?? []) as unknown[]) {
      const role = roleIds.get(name);
      if (role === undefined) throw new Error(`a policy is attached to ${name}, which is no role of the stack`);
      add(role, properties.PolicyDocument);
    }
  }

  const denied = new Set<string>();
  return {
    check({ role, action, resource, keys = {} }) {
      const fitting = grants.filter(
        (grant) =>
          grant.role === role &&
          matches(grant.action.toLowerCase(), action.toLowerCase()) &&
          matches(grant.resource, resource) &&
          conditionsHold(grant.condition, keys),
      );
      for (const grant of fitting) grant.used = true;
      const isAllowed =
        fitting.some(({ effect }) => effect === 'Allow') && !fitting.some(({ effect }) => effect === 'Deny');
      const where = keys['dynamodb:LeadingKeys'] === undefined ? '' : ` ${keys['dynamodb:LeadingKeys']}`;
      if (!isAllowed) denied.add(`${role}: ${action} on ${resource}${where}`);
      return isAllowed;
    },
    denied: () => [...denied].sort(),
    unused: () =>
      [
        ...new Set(
          grants
            .filter(({ effect, used }) => effect === 'Allow' && !used)
            .map(({ role, action, resource }) => `${role}: ${action} on ${resource}`),
        ),
      ].sort(),
  };
}
