import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';

/**
 * The SDK's clients that more than one function needs, one function each, so that a bundle has only what its function uses.
 * Region, credentials and endpoints (`AWS_ENDPOINT_URL_DYNAMODB` and the like) come from the SDK's standard environment
 * variables.
 */

/** By default the SDK waits for a response forever, and a function that was frozen wakes up with dead connections. */
export const clientSettings = {
  maxAttempts: 5,
  requestHandler: { connectionTimeout: 2_000, requestTimeout: 10_000, throwOnRequestTimeout: true },
};

export function createDynamoClient(): DynamoDBClient {
  return new DynamoDBClient(clientSettings);
}

export function createSqsClient(): SQSClient {
  return new SQSClient(clientSettings);
}

export function createSecretsClient(): SecretsManagerClient {
  return new SecretsManagerClient(clientSettings);
}
