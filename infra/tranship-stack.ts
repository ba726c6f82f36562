import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { importParts, type NamedParts } from './context.ts';
import type { TranshipProps } from './props.ts';
import { Tranship } from './tranship.ts';

/** A stack with the pipeline, and the names of its parts as outputs: the command finds them there (`--stack`). */
export class TranshipStack extends Stack {
  readonly tranship: Tranship;

  constructor(scope: Construct, id: string, props: TranshipProps & { parts?: NamedParts } & StackProps) {
    super(scope, id, { description: 'Tranship: keeps container images in step between registries', ...props });
    const { parts = {}, ...settings } = props;
    this.tranship = new Tranship(this, 'Tranship', { ...settings, ...importParts(this, parts) });
    const { ledger, logins, tasks, plans, planner, redrive, webhook } = this.tranship;
    const outputs = {
      LedgerTable: ledger.table.tableName,
      LoginSecret: logins.secret.secretArn,
      TaskQueueUrl: tasks.queue.queueUrl,
      DeadLetterQueueUrl: tasks.deadLetters.queueUrl,
      PlanQueueUrl: plans.queue.queueUrl,
      PlanDeadLetterQueueUrl: plans.deadLetters.queueUrl,
      PlannerFunction: planner.lambda.functionName,
      RedriveFunction: redrive.lambda.functionName,
      ...(webhook && { WebhookUrl: webhook.url, WebhookSecret: webhook.secret.secretArn }),
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}
