import { Aws, Stack, Validations } from 'aws-cdk-lib';
import {
  AccountRootPrincipal,
  PolicyStatement,
  type PolicyStatementProps,
  Role,
  ServicePrincipal,
} from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { LongWorkerService, type LongWorkerServiceProps } from './long-worker-service.ts';
import type { RoleHolder } from './role-holder.ts';

export interface LongWorkerProps extends Omit<LongWorkerServiceProps, 'role'> {
  /** `role`: for a person's machine. `fargate`: a service in the stack. */
  kind: 'role' | 'fargate';
}

/** Who works on tasks that take longer than a function may run, with the rights of a copier and no others. */
export class LongWorker extends Construct implements RoleHolder {
  readonly role: Role;

  constructor(scope: Construct, id: string, props: LongWorkerProps) {
    super(scope, id);
    const { kind, longTasks, encryptionKey } = props;
    this.role = new Role(this, 'Role', {
      description: 'Of the long workers of Tranship',
      assumedBy:
        kind === 'role'
          ? new AccountRootPrincipal()
          : new ServicePrincipal('ecs-tasks.amazonaws.com', {
              conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
            }),
    });
    this.allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility'], [longTasks.queueArn]);
    // The command finds the parts of the stack by its outputs.
    if (kind === 'role') this.allow(['cloudformation:DescribeStacks'], [Stack.of(this).stackId]);
    if (encryptionKey) {
      encryptionKey.grantEncryptDecrypt(this.role);
      this.allow(['kms:DescribeKey'], [encryptionKey.keyArn]);
      for (const action of ['kms:GenerateDataKey*', 'kms:ReEncrypt*']) {
        this.acknowledge(`AwsSolutions-IAM5[Action::${action}]`, 'Variants of one right on one key.');
      }
    }
    if (kind === 'fargate') new LongWorkerService(this, 'Service', { ...props, role: this.role });
  }

  allow(actions: string[], resources: string[], conditions?: PolicyStatementProps['conditions']): void {
    this.role.addToPrincipalPolicy(new PolicyStatement({ actions, resources, conditions }));
  }

  acknowledge(finding: string, reason: string): void {
    Validations.of(this.role).acknowledge({ id: `AwsSolutions::${finding}`, reason });
  }
}
