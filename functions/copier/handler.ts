import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context, SQSEvent } from 'aws-lambda';
import { TranshipError } from '../../core/model/errors.ts';
import type { Repository } from '../../core/model/reference.ts';
import { parseTask } from '../../core/pipeline/messages.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { createDynamoClient, createEcrClient, createSqsClient } from '../aws/clients.ts';
import { createEcrRepository } from '../aws/ecr-repositories.ts';
import { readEnvironment, readText } from '../aws/environment.ts';
import { createLedger } from '../aws/ledger.ts';
import { readPolicies } from '../aws/policies.ts';
import { createQueue } from '../aws/queue.ts';
import { openCopying } from '../aws/registries.ts';
import { handleMessages } from '../aws/sqs-event.ts';
import { countUp, logger, publishCounts } from '../aws/telemetry.ts';
import { copyTask } from './copy.ts';

/** What is left of the invocation when the work is stopped: to cancel uploads, and to hand the rest over. */
const MARGIN_MS = 60_000;

const env = readEnvironment(['TRANSHIP_TABLE', 'TRANSHIP_TASK_QUEUE_URL', 'TRANSHIP_DEAD_LETTER_QUEUE_URL']);
const sqs = createSqsClient();
const ledger = createLedger({ client: createDynamoClient(), table: env.TRANSHIP_TABLE });
const { policy } = readPolicies();
const deps = {
  copy: openCopying(ledger),
  ledger,
  deadLetters: createQueue<Task>({ client: sqs, url: env.TRANSHIP_DEAD_LETTER_QUEUE_URL }),
  policy,
  createRepository:
    readText('TRANSHIP_CREATE_ECR_REPOSITORIES') === 'true'
      ? (repository: Repository) => createEcrRepository(createEcrClient, repository)
      : async () => false,
  log: logger,
  count: countUp,
  now: Date.now,
};

async function handle(event: SQSEvent, context: Context) {
  const stop = new AbortController();
  const timeIsOver = new TranshipError('not done within the time of one invocation', {
    class: 'transient',
    code: 'timeout',
  });
  const timer = setTimeout(() => stop.abort(timeIsOver), Math.max(0, context.getRemainingTimeInMillis() - MARGIN_MS));
  // What is left of a task goes back to the queue that it came from.
  const options = { client: sqs, url: queueOf(event), policy, log: logger, count: countUp };
  const tasks = createQueue<Task>(options);
  try {
    return await handleMessages(options, event, async (record) => {
      const delivered = parseTask(record.body);
      const { runId, ruleId, source, attempt } = delivered.message;
      logger.setCorrelationId(runId);
      logger.appendKeys({ ruleId, source, attempt });
      await copyTask({ ...deps, tasks }, delivered, { owner: context.awsRequestId, signal: stop.signal });
    });
  } finally {
    clearTimeout(timer);
  }
}

/** The URL of the queue that an event is from; all its messages are from one. */
function queueOf({ Records: [record] }: SQSEvent): string {
  const name = record?.eventSourceARN.split(':').at(-1);
  const pushed = readText('TRANSHIP_PUSHED_TASK_QUEUE_URL');
  return pushed?.endsWith(`/${name}`) ? pushed : env.TRANSHIP_TASK_QUEUE_URL;
}

/** Works on one task a message of the task queues. */
export const handler = middy(handle)
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .use(publishCounts());
