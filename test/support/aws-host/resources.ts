import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AttributeDefinition,
  CreateTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  type KeySchemaElement,
} from '@aws-sdk/client-dynamodb';
import type { SecretsManager } from '../secrets-manager.ts';
import type { Sqs } from '../sqs.ts';
import { arnOf, physicalName } from './names.ts';
import type { Resolved, Template } from './template.ts';

export interface QueueResource {
  id: string;
  path: string;
  name: string;
  arn: string;
  /** As the emulator gives it, for the host's own client. */
  url: string;
  visibilitySeconds: number;
}

const passedOn = [
  'VisibilityTimeout',
  'MessageRetentionPeriod',
  'DelaySeconds',
  'ReceiveMessageWaitTimeSeconds',
  'MaximumMessageSize',
];

/** Creates the queues of a template with their settings and redrive policies. */
export function createQueues(sqs: Sqs, template: Template, resolved: Resolved): QueueResource[] {
  return resolved.ofType('AWS::SQS::Queue').map(({ id, path, properties }) => {
    if (properties.FifoQueue === true) throw new Error(`the host knows standard queues only, ${id} is FIFO`);
    const attributes: Record<string, string> = {};
    for (const name of passedOn) if (properties[name] !== undefined) attributes[name] = String(properties[name]);
    if (properties.RedrivePolicy !== undefined) attributes.RedrivePolicy = JSON.stringify(properties.RedrivePolicy);
    const name = physicalName(id, template.Resources[id]!, resolved);
    const url = sqs.createQueue(name, attributes);
    const visibilitySeconds = Number(properties.VisibilityTimeout ?? 30);
    return { id, path, name, arn: arnOf('AWS::SQS::Queue', name), url, visibilitySeconds };
  });
}

/** Creates the tables of a template: keys and indexes; what dynalite has none of (TTL, backups) is left out. */
export async function createTables(client: DynamoDBClient, template: Template, resolved: Resolved): Promise<string[]> {
  const names: string[] = [];
  for (const { id, properties } of resolved.ofType('AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable')) {
    const name = physicalName(id, template.Resources[id]!, resolved);
    await client.send(
      new CreateTableCommand({
        TableName: name,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: properties.AttributeDefinitions as AttributeDefinition[],
        KeySchema: properties.KeySchema as KeySchemaElement[],
      }),
    );
    for (let tries = 0; ; tries++) {
      const { Table } = await client.send(new DescribeTableCommand({ TableName: name }));
      if (Table?.TableStatus === 'ACTIVE') break;
      if (tries === 1000) throw new Error(`the table ${name} does not become active`);
      await sleep(2);
    }
    names.push(name);
  }
  return names;
}

/** Creates the secrets of a template, with the text it gives them. @returns path and ARN of each */
export function createSecrets(
  manager: SecretsManager,
  template: Template,
  resolved: Resolved,
): Array<{ id: string; path: string; arn: string }> {
  return resolved.ofType('AWS::SecretsManager::Secret').map(({ id, path, properties }) => {
    const arn = arnOf('AWS::SecretsManager::Secret', physicalName(id, template.Resources[id]!, resolved));
    const generated = properties.GenerateSecretString as { SecretStringTemplate?: string } | undefined;
    const text = properties.SecretString ?? generated?.SecretStringTemplate ?? (generated && 'generated');
    if (text !== undefined) manager.secrets.set(arn, String(text));
    return { id, path, arn };
  });
}
