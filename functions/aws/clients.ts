import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ECRClient } from '@aws-sdk/client-ecr';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';

/**
 * The SDK's clients, one function each, so that a bundle has only what its function uses. Region, credentials and
 * endpoints (`AWS_ENDPOINT_URL_DYNAMODB` and the like) come from the SDK's standard environment variables.
 */

/** By default the SDK waits for a response forever, and a function that was frozen wakes up with dead connections. */
const settings = {
  maxAttempts: 5,
  requestHandler: { connectionTimeout: 2_000, requestTimeout: 10_000, throwOnRequestTimeout: true },
};

export function createDynamoClient(): DynamoDBClient {
  return new DynamoDBClient(settings);
}

export function createSqsClient(): SQSClient {
  return new SQSClient(settings);
}

export function createSecretsClient(): SecretsManagerClient {
  return new SecretsManagerClient(settings);
}

/** A client of ECR in one region, which need not be the function's own. */
export function createEcrClient(region: string): ECRClient {
  return new ECRClient({ ...settings, region });
}

/** As {@link createEcrClient}, for parts of layers: 20 MiB take a while. */
export function createEcrUploadClient(region: string): ECRClient {
  return new ECRClient({ ...settings, region, requestHandler: { ...settings.requestHandler, requestTimeout: 60_000 } });
}

export function createEventsClient(): EventBridgeClient {
  return new EventBridgeClient(settings);
}

export function createTopicClient(): SNSClient {
  return new SNSClient(settings);
}
