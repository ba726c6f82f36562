import type { IncomingHttpHeaders } from 'node:http';
import { arn } from './names.ts';
import type { ConditionKeys } from './policy.ts';

/** A request to an AWS API, read at the wire. */
export interface ApiRequest {
  /** Access key that signed it: whose it is. */
  accessKey: string;
  /** As in the signature's scope: `sqs`. */
  service: string;
  /** `SendMessageBatch`. */
  operation: string;
  input: Record<string, unknown>;
  /** The trace header of the invocation that it comes from. */
  trace: string | undefined;
}

/**
 * Reads who asks what of which service, from the signature (SigV4's scope names the service), `X-Amz-Target` and the
 * body.
 * @throws for a request that is not signed, or not in JSON or query form
 */
export function readApiRequest(headers: IncomingHttpHeaders, body: string): ApiRequest {
  const scope = /Credential=([^/]+)\/\d+\/[^/]+\/([^/]+)\/aws4_request/.exec(headers.authorization ?? '');
  if (scope === null) throw new Error('the request is not signed');
  const [, accessKey = '', service = ''] = scope;
  const target = headers['x-amz-target'];
  const trace = headers['x-amzn-trace-id']?.toString();
  if (typeof target === 'string') {
    return { accessKey, service, operation: target.split('.')[1] ?? '', input: JSON.parse(body), trace };
  }
  const input = Object.fromEntries(new URLSearchParams(body));
  return { accessKey, service, operation: input.Action ?? '', input, trace };
}

/** Operations that IAM knows by another name ("Actions, resources, and condition keys", Amazon SQS). */
const actionNames: Record<string, string> = {
  'sqs:SendMessageBatch': 'sqs:SendMessage',
  'sqs:DeleteMessageBatch': 'sqs:DeleteMessage',
  'sqs:ChangeMessageVisibilityBatch': 'sqs:ChangeMessageVisibility',
};

/** The action that IAM checks, the ARNs that it checks it on, and the request's condition keys. */
export function permissionOf({ service, operation, input }: ApiRequest): {
  action: string;
  resources: string[];
  keys: ConditionKeys;
} {
  const action = actionNames[`${service}:${operation}`] ?? `${service}:${operation}`;
  const find = resourcesByService[service];
  if (find === undefined) throw new Error(`the host does not know the resources of ${action}`);
  return { action, resources: find(input), keys: service === 'dynamodb' ? leadingKeys(input) : {} };
}

const resourcesByService: Record<string, (input: Record<string, unknown>) => string[]> = {
  sqs: ({ QueueUrl, QueueName }) => [
    arn('sqs', String(QueueName ?? new URL(String(QueueUrl)).pathname.split('/').at(-1))),
  ],
  dynamodb: ({ TableName, IndexName, RequestItems }) => {
    const names = RequestItems === undefined ? [String(TableName)] : Object.keys(RequestItems as object);
    return names.map((name) => arn('dynamodb', `table/${name}${IndexName === undefined ? '' : `/index/${IndexName}`}`));
  },
  secretsmanager: ({ SecretId }) => {
    const id = String(SecretId);
    return [id.startsWith('arn:') ? id : arn('secretsmanager', `secret:${id}-AbCdEf`)];
  },
  events: ({ Entries }) =>
    (Entries as { EventBusName?: string }[]).map(({ EventBusName = 'default' }) =>
      EventBusName.startsWith('arn:') ? EventBusName : arn('events', `event-bus/${EventBusName}`),
    ),
  sns: ({ TopicArn }) => [String(TopicArn)],
  ecr: ({ repositoryName }) => [repositoryName === undefined ? '*' : arn('ecr', `repository/${repositoryName}`)],
};

type StoredKey = { pk?: { S?: string } };

/**
 * The partition keys that a request of DynamoDB is for.
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
 */
function leadingKeys(input: Record<string, unknown>): ConditionKeys {
  const { Key, Item, RequestItems, KeyConditionExpression, ExpressionAttributeNames, ExpressionAttributeValues } =
    input as {
      Key?: StoredKey;
      Item?: StoredKey;
      RequestItems?: Record<string, { PutRequest?: { Item: StoredKey }; DeleteRequest?: { Key: StoredKey } }[]>;
      KeyConditionExpression?: string;
      ExpressionAttributeNames?: Record<string, string>;
      ExpressionAttributeValues?: Record<string, { S?: string }>;
    };
  const batch = Object.values(RequestItems ?? {})
    .flat()
    .map(({ PutRequest, DeleteRequest }) => PutRequest?.Item ?? DeleteRequest?.Key);
  const found = [Key, Item, ...batch].flatMap((key) => key?.pk?.S ?? []);
  const [, name = '', value = ''] = /^(#?\w+) = (:\w+)/.exec(KeyConditionExpression ?? '') ?? [];
  if ((ExpressionAttributeNames?.[name] ?? name) === 'pk') found.push(ExpressionAttributeValues?.[value]?.S ?? '');
  // A request without any is judged like one for a key that nobody may use.
  return { 'dynamodb:LeadingKeys': found.length === 0 ? [''] : [...new Set(found)] };
}
