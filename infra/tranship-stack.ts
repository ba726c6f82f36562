import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { importParts, type NamedParts } from './context.ts';
import type { TranshipProps } from './props.ts';
import { textLength } from './text-length.ts';
import { Tranship } from './tranship.ts';
import type { WebhookAddress } from './webhook.ts';

/** Of an output's value: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html */
const MOST_CHARACTERS = 1024;

/** A stack with the pipeline, and the names of its parts as outputs: the command finds them there (`--stack`). */
export class TranshipStack extends Stack {
  readonly tranship: Tranship;

  constructor(scope: Construct, id: string, props: TranshipProps & { parts?: NamedParts } & StackProps) {
    super(scope, id, { description: 'Tranship: keeps container images in step between registries', ...props });
    const { parts = {}, ...settings } = props;
    this.tranship = new Tranship(this, 'Tranship', { ...settings, ...importParts(this, parts) });
    const { ledger, logins, tasks, longTasks, plans, planner, redrive, webhook, longWorker } = this.tranship;
    const outputs = {
      LedgerTable: ledger.table.tableName,
      LoginSecret: logins.secret.secretArn,
      TaskQueueUrl: tasks.queue.queueUrl,
      DeadLetterQueueUrl: tasks.deadLetters.queueUrl,
      LongTaskQueueUrl: longTasks.queue.queueUrl,
      WorkerSettings: JSON.stringify(this.tranship.workerSettings),
      ...(longWorker && { LongWorkerRole: longWorker.role.roleArn }),
      PlanQueueUrl: plans.queue.queueUrl,
      PlanDeadLetterQueueUrl: plans.deadLetters.queueUrl,
      PlannerFunction: planner.lambda.functionName,
      RedriveFunction: redrive.lambda.functionName,
      ...this.#listOutputs(
        'LoginSecrets',
        this.tranship.loginSecrets.map((secret) => secret.secretArn),
      ),
      ...this.#listOutputs('AllowedRealms', this.tranship.allowedRealms),
      ...(webhook?.address && addressOutputs(webhook.address)),
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }

  /** A list that is too long for one output goes on in others: `LoginSecrets2`, … */
  #listOutputs(name: string, entries: readonly string[]): Record<string, string> {
    const outputs: string[][] = [];
    let characters = 0;
    for (const entry of entries) {
      const more = textLength(this, entry) + 1;
      const last = outputs.at(-1);
      if (last && characters + more <= MOST_CHARACTERS) {
        last.push(entry);
        characters += more;
      } else {
        outputs.push([entry]);
        characters = more;
      }
    }
    return Object.fromEntries(outputs.map((part, at) => [at === 0 ? name : `${name}${at + 1}`, part.join(',')]));
  }
}

function addressOutputs({ url, secret, variables, senderUrls, domainTarget }: WebhookAddress): Record<string, string> {
  const outputs: Record<string, string> = {
    WebhookUrl: url,
    WebhookSecret: secret.secretArn,
    ...(variables.length > 0 && { WebhookVariables: variables.join(' ').slice(0, MOST_CHARACTERS) }),
    ...(domainTarget !== undefined && { WebhookDomainTarget: domainTarget }),
  };
  for (const [name, senderUrl] of Object.entries(senderUrls)) {
    let output = `WebhookUrl${camelCase(name)}`;
    // ci-1 and ci1 are two.
    while (output in outputs) output += 'X';
    outputs[output] = senderUrl;
  }
  return outputs;
}

/** `docker-hub` as `DockerHub`: names of outputs are letters and digits. */
function camelCase(name: string): string {
  return name.replace(/(?:^|-)([a-z0-9]?)/g, (_, first: string) => first.toUpperCase());
}
