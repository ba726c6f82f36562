import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context, SQSEvent } from 'aws-lambda';
import { TranshipError } from '../../core/model/errors.ts';
import { parseTask } from '../../core/pipeline/messages.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { readEnvironment, readText } from '../aws/environment.ts';
import { createQueue } from '../aws/queue.ts';
import { handleMessages } from '../aws/sqs-event.ts';
import { countUp, logger, publishCounts } from '../aws/telemetry.ts';
import { copyTask } from './copy.ts';
import { openCopier } from './open.ts';

const env = readEnvironment(['TRANSHIP_TASK_QUEUE_URL']);
const { sqs, deps } = openCopier();

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
  const options = { client: sqs, url: queueOf(event), policy: deps.policy, log: logger, count: countUp };
  const tasks = createQueue<Task>(options);
  try {
    return await handleMessages(options, event, async (record) => {
      const delivered = parseTask(record.body);
      const { runId, ruleId, source, attempt } = delivered.message;
      logger.setCorrelationId(runId);
      logger.appendKeys({ ruleId, source, attempt });
      const work = { owner: context.awsRequestId, isBounded: true, signal: stop.signal, chunkSignal };
      await copyTask({ ...deps, tasks }, delivered, work);
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
