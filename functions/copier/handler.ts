import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context, SQSEvent } from 'aws-lambda';
import { TranshipError } from '../../core/model/errors.ts';
import type { Repository } from '../../core/model/reference.ts';
import { parseTask } from '../../core/pipeline/messages.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { createDynamoClient, createEcrClient, createEcrUploadClient, createSqsClient } from '../aws/clients.ts';
import { isLogin } from '../aws/ecr-credentials.ts';
import { createEcrRepository } from '../aws/ecr-repositories.ts';
import { createEcrChunks } from '../aws/ecr-uploads.ts';
import { readEnvironment, readNumber, readText } from '../aws/environment.ts';
import { createLedger } from '../aws/ledger.ts';
import { readPolicies } from '../aws/policies.ts';
import { createQueue } from '../aws/queue.ts';
import { openCopying, openLogins } from '../aws/registries.ts';
import { handleMessages } from '../aws/sqs-event.ts';
import { countUp, logger, publishCounts } from '../aws/telemetry.ts';
import { copyTask } from './copy.ts';

/** Smaller blobs are read again where they break off: at the pace of a slow registry, 1 MB a second, in five minutes. */
const CHUNKED_FROM_BYTES = 256 * 1024 * 1024;
/** S3 takes no parts of less than 5 MiB, which registries store a chunk as. */
const CHUNK_BYTES = 8 * 1024 * 1024;

const env = readEnvironment(['TRANSHIP_TABLE', 'TRANSHIP_TASK_QUEUE_URL', 'TRANSHIP_DEAD_LETTER_QUEUE_URL']);
const sqs = createSqsClient();
const ledger = createLedger({ client: createDynamoClient(), table: env.TRANSHIP_TABLE });
const { policy } = readPolicies();
const logins = openLogins();
const deps = {
  copy: openCopying(ledger, logins),
  ledger,
  deadLetters: createQueue<Task>({ client: sqs, url: env.TRANSHIP_DEAD_LETTER_QUEUE_URL }),
  policy,
  chunking: {
    fromBytes: readNumber('TRANSHIP_CHUNKED_FROM_BYTES', CHUNKED_FROM_BYTES),
    chunkBytes: readNumber('TRANSHIP_CHUNK_BYTES', CHUNK_BYTES),
    transport: createEcrChunks({
      clientFor: createEcrUploadClient,
      usesRole: async (repository) => !isLogin(await logins.lookup(repository)),
    }),
  },
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
  const allMs = context.getRemainingTimeInMillis();
  const marginMs = marginOf(allMs);
  const timer = setTimeout(() => stop.abort(timeIsOver), allMs - marginMs);
  const chunkSignal = AbortSignal.timeout(Math.round(allMs - marginMs / 4));
  // What is left of a task goes back to the queue that it came from.
  const options = { client: sqs, url: queueOf(event), policy, log: logger, count: countUp };
  const tasks = createQueue<Task>(options);
  try {
    return await handleMessages(options, event, async (record) => {
      const delivered = parseTask(record.body);
      const { runId, ruleId, source, attempt } = delivered.message;
      logger.setCorrelationId(runId);
      logger.appendKeys({ ruleId, source, attempt });
      await copyTask({ ...deps, tasks }, delivered, { owner: context.awsRequestId, signal: stop.signal, chunkSignal });
    });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The time at the end of an invocation in which nothing new is begun: chunks of uploads end, and the rest is handed over. A
 * minute of 15; ten seconds of 2.
 */
function marginOf(allMs: number): number {
  return Math.max(allMs / 15, Math.min(10_000, allMs / 4));
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
