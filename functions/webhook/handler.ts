import { readFileSync } from 'node:fs';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context, LambdaFunctionURLEvent } from 'aws-lambda';
import { createIntakeMemory } from '../../core/announce/intake-memory.ts';
import { createSenderKeys } from '../../core/announce/keys.ts';
import { indexRules } from '../../core/announce/match.ts';
import type { Sender } from '../../core/announce/sender.ts';
import type { RuleSet } from '../../core/model/rule.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { bareTrust } from '../../core/registry/wire/trust.ts';
import { createDynamoClient, createSecretsClient, createSqsClient } from '../aws/clients.ts';
import { readEnvironment, readText } from '../aws/environment.ts';
import { createLedger } from '../aws/ledger.ts';
import { readPolicies } from '../aws/policies.ts';
import { createQueue } from '../aws/queue.ts';
import { countUp, logger, publishCounts } from '../aws/telemetry.ts';
import { answerRequest, takeEcrEvent } from './answer.ts';
import { createSenderReader } from './senders.ts';

const env = readEnvironment(['TRANSHIP_TABLE', 'TRANSHIP_PLAN_QUEUE_URL', 'TRANSHIP_TASK_QUEUE_URL']);
/** The stack puts it beside the bundle, read and checked when it was synthesised. */
const { rules } = JSON.parse(readFileSync(new URL('rules.json', import.meta.url), 'utf8')) as RuleSet;
/** Likewise, what the webhooks file says of each sender. */
const entries = JSON.parse(readFileSync(new URL('senders.json', import.meta.url), 'utf8')) as Record<string, unknown>;
/** None where nothing but ECR's events is heard. */
const secretId = readText('TRANSHIP_WEBHOOK_SECRET');
const sqs = createSqsClient();
const now = Date.now;
const deps = {
  rules: indexRules(rules),
  ledger: createLedger({ client: createDynamoClient(), table: env.TRANSHIP_TABLE }),
  tasks: createQueue<Task>({ client: sqs, url: env.TRANSHIP_TASK_QUEUE_URL }),
  plans: createQueue<PlanMessage | EndCheck>({ client: sqs, url: env.TRANSHIP_PLAN_QUEUE_URL }),
  senders:
    secretId === undefined
      ? async () => new Map<string, Sender>()
      : createSenderReader({ entries, client: createSecretsClient(), secretId, log: logger, now }),
  memory: createIntakeMemory(),
  keys: createSenderKeys({ env: process.env, trust: bareTrust, userAgent: 'tranship' }),
  policy: readPolicies().policy,
  log: logger,
  count: countUp,
  now,
};

async function handle(event: LambdaFunctionURLEvent | { source: string; id?: string }, context: Context) {
  if (!('requestContext' in event)) {
    await takeEcrEvent(deps, event, event.id ?? context.awsRequestId);
    return undefined;
  }
  const { requestContext, rawPath, headers, body = '', isBase64Encoded } = event;
  const request = {
    method: requestContext.http.method,
    path: rawPath,
    headers,
    // Signatures are over the bytes as they came.
    rawBody: Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8'),
  };
  const { status, ...response } = await answerRequest(deps, request, context.awsRequestId);
  return { statusCode: status, ...response };
}

/** Takes push events: from registries by the function's URL, from ECR by EventBridge. */
export const handler = middy(handle)
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .use(publishCounts());
