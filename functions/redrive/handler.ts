import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { createDynamoClient, createSqsClient } from '../aws/clients.ts';
import { openDeadLetters } from '../aws/dead-letters.ts';
import { readEnvironment } from '../aws/environment.ts';
import { createLedger } from '../aws/ledger.ts';
import { readPolicies } from '../aws/policies.ts';
import { createQueue } from '../aws/queue.ts';
import { countUp, logger, publishCounts } from '../aws/telemetry.ts';
import { redrive } from './redrive.ts';
import { parseRequest } from './request.ts';

/** For the batch that is taken last, what is put back, and the run that what failed for good becomes. */
const MARGIN_MS = 60_000;

const env = readEnvironment([
  'TRANSHIP_TABLE',
  'TRANSHIP_TASK_QUEUE_URL',
  'TRANSHIP_DEAD_LETTER_QUEUE_URL',
  'TRANSHIP_LONG_TASK_QUEUE_URL',
  'TRANSHIP_PLAN_QUEUE_URL',
  'TRANSHIP_PLAN_DEAD_LETTER_QUEUE_URL',
]);
const sqs = createSqsClient();
const deps = {
  ledger: createLedger({ client: createDynamoClient(), table: env.TRANSHIP_TABLE }),
  tasks: createQueue<Task>({ client: sqs, url: env.TRANSHIP_TASK_QUEUE_URL }),
  longTasks: createQueue<Task>({ client: sqs, url: env.TRANSHIP_LONG_TASK_QUEUE_URL }),
  deadTasks: openDeadLetters(sqs, env.TRANSHIP_DEAD_LETTER_QUEUE_URL),
  plans: createQueue<PlanMessage | EndCheck>({ client: sqs, url: env.TRANSHIP_PLAN_QUEUE_URL }),
  deadPlans: openDeadLetters(sqs, env.TRANSHIP_PLAN_DEAD_LETTER_QUEUE_URL),
  ...readPolicies(),
  log: logger,
  count: countUp,
  now: Date.now,
};

async function handle(event: unknown, context: Context) {
  const request = parseRequest(event, context.awsRequestId);
  const stopAt = Date.now() + context.getRemainingTimeInMillis() - MARGIN_MS;
  return redrive(deps, request, { letters: stopAt, failed: stopAt });
}

/**
 * Goes through the dead letters: on a schedule (`{"trigger": "schedule"}`) those that are due, by hand (`{"class"?,
 * "code"?, "ruleId"?}`) all that are asked for, and what failed for good. Answers with what it did.
 */
export const handler = middy(handle)
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .use(publishCounts());
