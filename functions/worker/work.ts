import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteMessageCommand, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { toFailure, toTranshipError } from '../../core/model/errors.ts';
import { parseTask } from '../../core/pipeline/messages.ts';
import { awsError } from '../aws/errors.ts';
import { retryAfter } from '../aws/queue.ts';
import { handleMessages, type ReceivedRecord } from '../aws/sqs-event.ts';
import type { Log } from '../aws/telemetry.ts';
import { type CopierDeps, copyTask } from '../copier/copy.ts';

export interface LongWorker {
  sqs: SQSClient;
  /** URL of the queue of long tasks. */
  url: string;
  deps: Omit<CopierDeps, 'tasks'>;
  tasksAtOnce: number;
  /** Stops it: no more is taken, and what is in hand is given back. */
  signal: AbortSignal;
  /** Called when the work on a message has ended. */
  onEnd?: () => void;
}

/** A message of a worker that was killed comes again after this time. */
const HIDDEN_SECONDS = 120;
const RENEW_MS = (HIDDEN_SECONDS / 3) * 1000;
/**
 * A worker that stops waits for its poll: what SQS gives to a poll that nobody listens to any more is hidden for as long as
 * what a dead worker has. So it is shorter than the ten seconds that Docker gives a container to stop.
 */
const POLL_SECONDS = 5;
const PAUSE_MS = 5_000;
/** As short for the same reason. */
const CHUNK_GRACE_MS = 7_000;

/**
 * Works on tasks that take longer than a copier has, until it is told to stop. The messages stay hidden for as long as
 * it works on them. SQS hides none for more than 12 hours; then it comes a second time, finds its tag's lease taken, and
 * looks again every few seconds until the work has ended.
 *
 * @throws TranshipError where the queue cannot be read, and not for a moment only
 */
export async function workOnLongTasks(worker: LongWorker): Promise<void> {
  const { deps, tasksAtOnce, signal } = worker;
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const chunks = new AbortController();
  stop.addEventListener('abort', () => setTimeout(() => chunks.abort(), CHUNK_GRACE_MS).unref(), { once: true });
  const active = new Set<Promise<void>>();
  try {
    while (!stop.aborted) {
      if (active.size >= tasksAtOnce) {
        await Promise.race(active);
        continue;
      }
      for (const record of await receive(worker, tasksAtOnce - active.size, stop)) {
        if (stop.aborted) {
          await retryAfter(worker.sqs, worker.url, record.receiptHandle, 0);
          continue;
        }
        const work = handle(worker, record, { signal: stop, chunkSignal: chunks.signal });
        active.add(work);
        void work.finally(() => active.delete(work));
      }
    }
  } finally {
    failed.abort();
    await Promise.all(active);
  }
  deps.log.info('stopped');
}

async function receive({ sqs, url, deps }: LongWorker, free: number, signal: AbortSignal): Promise<ReceivedRecord[]> {
  const command = new ReceiveMessageCommand({
    QueueUrl: url,
    MaxNumberOfMessages: Math.min(10, free),
    VisibilityTimeout: HIDDEN_SECONDS,
    WaitTimeSeconds: POLL_SECONDS,
    MessageSystemAttributeNames: ['ApproximateReceiveCount'],
  });
  try {
    const { Messages = [] } = await sqs.send(command);
    return Messages.map(({ MessageId = '', Body = '', ReceiptHandle = '', Attributes }) => ({
      messageId: MessageId,
      body: Body,
      receiptHandle: ReceiptHandle,
      attributes: { ApproximateReceiveCount: Attributes?.ApproximateReceiveCount ?? '1' },
    }));
  } catch (thrown) {
    const error = awsError('receive a long task', thrown);
    if (error.class !== 'transient') throw error;
    deps.log.warn('long tasks cannot be received for the moment', { failure: toFailure(error) });
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
    return [];
  }
}

/** Never rejects: what could not be done comes again. */
async function handle(
  { sqs, url, deps, onEnd }: LongWorker,
  record: ReceivedRecord,
  signals: { signal: AbortSignal; chunkSignal: AbortSignal },
): Promise<void> {
  const hide = (ms: number) => retryAfter(sqs, url, record.receiptHandle, ms);
  const renewal = setInterval(() => void hide(HIDDEN_SECONDS * 1000), RENEW_MS);
  let isLeft = false;
  const options = { client: sqs, url, policy: deps.policy, log: deps.log, count: deps.count };
  try {
    const { batchItemFailures } = await handleMessages(options, { Records: [record] }, async ({ body }) => {
      const delivered = parseTask(body);
      const { runId, ruleId, source, destinations } = delivered.message;
      const log = withFields(deps.log, { correlation_id: runId, ruleId });
      log.info('task begun', { source, destinations });
      const work = { owner: randomUUID(), isBounded: false, ...signals };
      isLeft = (await copyTask({ ...deps, log, tasks: deps.longTasks }, delivered, work)) === 'left';
      if (isLeft) log.info('stopped in the middle of it: the task goes back to its queue', { source, destinations });
    });
    clearInterval(renewal);
    if (isLeft) await hide(0);
    else if (batchItemFailures.length === 0) {
      await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: record.receiptHandle }));
    }
  } catch (thrown) {
    const failure = toFailure(toTranshipError(thrown));
    deps.log.warn('a message that is done with comes again', { messageId: record.messageId, failure });
  } finally {
    clearInterval(renewal);
    onEnd?.();
  }
}

/** A log whose lines all have some fields. */
function withFields(log: Log, fields: Record<string, unknown>): Log {
  const add =
    (level: keyof Log): Log[keyof Log] =>
    (message, ...extra) =>
      log[level](message, Object.assign({}, fields, ...extra.filter((one) => typeof one === 'object')));
  return { info: add('info'), warn: add('warn'), error: add('error') };
}
