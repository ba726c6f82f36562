import type { PolicyStatementProps } from 'aws-cdk-lib/aws-iam';
import type { IConstruct } from 'constructs';

/** A part of the stack with a role of its own, which may do nothing but what it is allowed. */
export interface RoleHolder extends IConstruct {
  allow(actions: string[], resources: string[], conditions?: PolicyStatementProps['conditions']): void;
  /** Says why something that cdk-nag finds in the role is meant. */
  acknowledge(finding: string, reason: string): void;
}
