import type { IncomingHttpHeaders } from 'node:http';
import { arn } from './names.ts';

/** A request to an AWS API, read at the wire. */
export interface ApiRequest {
  /** Access key that signed it: whose it is. */
  accessKey: string;
  /** As in the signature's scope: `sqs`. */
  service: string;
  /** `SendMessageBatch`. */
  operation: string;
  input: Record<string, unknown>;
}

/**
 * Reads who asks what of which service, from the signature (SigV4's scope names the service), `X-Amz-Target` and the body.
 * @throws for a request that is not signed, or not in JSON or query form
 */
export function readApiRequest(headers: IncomingHttpHeaders, body: string): ApiRequest {
  const scope = /Credential=([^/]+)\/\d+\/[^/]+\/([^/]+)\/aws4_request/.exec(headers.authorization ?? '');
  if (scope === null) throw new Error('the request is not signed');
  const [, accessKey = '', service = ''] = scope;
  const target = headers['x-amz-target'];
  if (typeof target === 'string') {
    return { accessKey, service, operation: target.split('.')[1] ?? '', input: JSON.parse(body) };
  }
  const input = Object.fromEntries(new URLSearchParams(body));
  return { accessKey, service, operation: input.Action ?? '', input };
}

/** Operations that IAM knows by another name ("Actions, resources, and condition keys", Amazon SQS). */
const actionNames: Record<string, string> = {
  'sqs:SendMessageBatch': 'sqs:SendMessage',
  'sqs:DeleteMessageBatch': 'sqs:DeleteMessage',
  'sqs:ChangeMessageVisibilityBatch': 'sqs:ChangeMessageVisibility',
};

/** The action that IAM checks, and the ARNs that it checks it on. */
export function permissionOf({ service, operation, input }: ApiRequest): { action: string; resources: string[] } {
  const action = actionNames[`${service}:${operation}`] ?? `${service}:${operation}`;
  const find = resourcesByService[service];
  if (find === undefined) throw new Error(`the host does not know the resources of ${action}`);
  return { action, resources: find(input) };
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
