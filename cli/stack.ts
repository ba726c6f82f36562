import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { Credentials } from '../core/model/credentials.ts';
import { configurationError, type TranshipError } from '../core/model/errors.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import type { EndCheck, PlanMessage, Task } from '../core/pipeline/ports/queue.ts';
import type { FailureFilter } from '../core/pipeline/second-chance.ts';
import { createDynamoClient, createSecretsClient, createSqsClient } from '../functions/aws/clients.ts';
import { createSecretCredentials } from '../functions/aws/credentials.ts';
import { HIDDEN_MS, openDeadLetters } from '../functions/aws/dead-letters.ts';
import { ecrClient } from '../functions/aws/ecr-clients.ts';
import { createEcrCredentials } from '../functions/aws/ecr-credentials.ts';
import { readList } from '../functions/aws/environment.ts';
import { awsError } from '../functions/aws/errors.ts';
import { createLedger } from '../functions/aws/ledger.ts';
import { readPolicies } from '../functions/aws/policies.ts';
import { createQueue } from '../functions/aws/queue.ts';
import { type RedriveReport, redrive } from '../functions/redrive/redrive.ts';
import { readValues } from '../functions/webhook/senders.ts';
import { createRunId } from '../machine/run-id.ts';

/** A deployed stack, seen from here. Region and credentials are the usual ones of AWS's tools. */
export interface DeployedStack {
  ledger: Ledger;
  /** The logins of the stack's secrets and, for private ECR, of whoever runs the command. */
  credentials: Credentials;
  /** Token servers that the stack's logins may be sent to. */
  allowedRealms: string[];
  /**
   * How many tasks wait for a long worker, about; undefined where that cannot be told, as where whoever asks may not read
   * the queue.
   */
  countLongTasks(): Promise<number | undefined>;
  /** Goes through the dead letters as the stack's own function does. */
  redrive(filter: FailureFilter): Promise<RedriveReport>;
}

/** What the stack tells in its outputs (infra/tranship-stack.ts). */
const OUTPUTS = [
  'LedgerTable',
  'LoginSecret',
  'TaskQueueUrl',
  'DeadLetterQueueUrl',
  'PlanQueueUrl',
  'PlanDeadLetterQueueUrl',
] as const;

/** Lists with commas. What one output has no room for is in `LoginSecrets2` and so on. */
const LISTS = ['LoginSecrets', 'AllowedRealms'] as const;

/** What stacks of this version tell besides. */
const NEWER = [...LISTS, 'LongTaskQueueUrl'] as const;

/** The rest of the time for which a letter is hidden is for putting back those that stay. */
const LETTERS_MS = HIDDEN_MS - 60_000;
/** Long enough for any number of tags that failed, short enough to end. */
const REDRIVE_MS = 30 * 60_000;

/** @throws TranshipError `configuration` where there is no such stack, or no credentials to see it with */
export async function openStack(name: string, warn: (message: string) => void): Promise<DeployedStack> {
  const outputs = await readOutputs(name, OUTPUTS, 'Deploy it with this version.', NEWER);
  const sqs = createSqsClient();
  const ledger = createLedger({ client: createDynamoClient(), table: outputs.LedgerTable });
  const secretIds = readList(outputs.LoginSecrets ?? outputs.LoginSecret);
  const configured = createSecretCredentials({ client: createSecretsClient(), secretIds, warn });
  return {
    ledger,
    credentials: createEcrCredentials({ configured, clientFor: ecrClient }),
    allowedRealms: readList(outputs.AllowedRealms ?? ''),
    countLongTasks: () => countMessages(sqs, outputs.LongTaskQueueUrl),
    redrive: (filter) =>
      redrive(
        {
          ledger,
          tasks: createQueue<Task>({ client: sqs, url: outputs.TaskQueueUrl }),
          longTasks: createQueue<Task>({ client: sqs, url: outputs.LongTaskQueueUrl ?? outputs.TaskQueueUrl }),
          deadTasks: openDeadLetters(sqs, outputs.DeadLetterQueueUrl),
          plans: createQueue<PlanMessage | EndCheck>({ client: sqs, url: outputs.PlanQueueUrl }),
          deadPlans: openDeadLetters(sqs, outputs.PlanDeadLetterQueueUrl),
          ...readPolicies(),
          log: { info: () => {}, warn: (message) => warn(String(message)), error: (message) => warn(String(message)) },
          count: () => {},
          now: Date.now,
        },
        { kind: 'asked', filter, id: createRunId(Date.now()) },
        { letters: Date.now() + LETTERS_MS, failed: Date.now() + REDRIVE_MS },
      ),
  };
}

async function countMessages(client: SQSClient, url: string | undefined): Promise<number | undefined> {
  if (url === undefined) return undefined;
  const command = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['ApproximateNumberOfMessages'] });
  const { Attributes } = await client.send(command).catch(() => ({ Attributes: undefined }));
  return Attributes === undefined ? undefined : Number(Attributes.ApproximateNumberOfMessages ?? 0);
}

/** Where the stack takes push events, and the values of its webhooks file's variables. */
export interface StackWebhooks {
  baseUrl: string;
  values: Record<string, string>;
}

/**
 * @throws TranshipError `configuration` where there is no such stack, or none that takes push events, or its secret
 * cannot be read
 */
export async function readStackWebhooks(name: string): Promise<StackWebhooks> {
  const { WebhookUrl, WebhookSecret } = await readOutputs(
    name,
    ['WebhookUrl', 'WebhookSecret'],
    'Set tranship:webhooks in cdk.json, and deploy it.',
  );
  const client = createSecretsClient();
  try {
    return { baseUrl: WebhookUrl, values: await readValues(client, WebhookSecret) };
  } finally {
    client.destroy();
  }
}

/**
 * Outputs of a stack.
 * @param optional those that only stacks of newer versions have
 */
export async function readOutputs<Output extends string, Optional extends string = never>(
  name: string,
  outputs: readonly Output[],
  mend: string,
  optional: readonly Optional[] = [],
): Promise<Record<Output, string> & Partial<Record<Optional, string>>> {
  const { told, status } = await describeOutputs(name);
  const missing = outputs.filter((output) => !told[output]);
  if (missing.length > 0) {
    const what = `does not tell its ${missing.join(', ')}`;
    const unready = mendOf(status);
    if (unready !== undefined) throw unusable(`the stack ${name} is in the state ${status} and ${what}`, unready);
    throw unusable(`the stack ${name} ${what}`, mend);
  }
  const pairs = [...outputs, ...optional].map((output) => [output, told[output]]);
  return Object.fromEntries(pairs);
}

/** What to do about a stack whose deployment has not ended, or not well; undefined for the others. */
function mendOf(status: string): string | undefined {
  if (status.endsWith('_IN_PROGRESS')) return 'Wait until its deployment has ended.';
  if (/^(CREATE_FAILED|ROLLBACK_COMPLETE|ROLLBACK_FAILED|DELETE_FAILED)$/.test(status)) {
    return 'Its deployment failed, and its events tell why: mend that, delete the stack and deploy it again.';
  }
  return undefined;
}

async function describeOutputs(name: string): Promise<{ told: Record<string, string | undefined>; status: string }> {
  const client = new CloudFormationClient({ maxAttempts: 3 });
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: name }));
    const { Outputs = [], StackStatus = '' } = Stacks[0] ?? {};
    const told = Object.fromEntries(Outputs.map(({ OutputKey = '', OutputValue }) => [OutputKey, OutputValue]));
    for (const list of LISTS) {
      for (let n = 2; told[`${list}${n}`] !== undefined; n++) told[list] += `,${told[`${list}${n}`]}`;
    }
    return { told, status: StackStatus };
  } catch (thrown) {
    const isUnknown = thrown instanceof Error && /does not exist/.test(thrown.message);
    throw isUnknown
      ? unusable(`there is no stack ${name} in this account and region`, 'Check the name, AWS_PROFILE and AWS_REGION.')
      : unusable(
          awsError(`find the stack ${name}`, thrown).message,
          'Check AWS_PROFILE, AWS_REGION and the right to describe stacks.',
        );
  } finally {
    client.destroy();
  }
}

function unusable(message: string, mend: string): TranshipError {
  return configurationError(message, { mend });
}
