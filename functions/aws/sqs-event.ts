import type { SQSClient } from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { hasCode, toFailure } from '../../core/model/errors.ts';
import { retryAfter } from './queue.ts';
import { backoffAfter, type RetryPolicy } from './retry-policy.ts';
import type { Log } from './telemetry.ts';

/**
 * Handles the messages of an event, and reports those that failed: all that a handler throws is unforeseen, or a message
 * that cannot be read. It comes again with growing waits, not after six function timeouts, and in the end is a dead letter.
 */
export async function handleMessages(
  options: { client: SQSClient; url: string; retry: RetryPolicy; log: Log },
  event: SQSEvent,
  handle: (record: SQSRecord) => Promise<void>,
): Promise<SQSBatchResponse> {
  const batchItemFailures: SQSBatchResponse['batchItemFailures'] = [];
  for (const record of event.Records) {
    try {
      await handle(record);
    } catch (error) {
      const { messageId } = record;
      const receives = Number(record.attributes.ApproximateReceiveCount);
      options.log.error('message not handled', { messageId, receives, failure: toFailure(error) });
      // What cannot be read now cannot be read later: no wait on the way to the dead letters.
      const isUnreadable = hasCode(error, 'unsupported', 'protocol') && error.class === 'permanent';
      const delayMs = isUnreadable ? 0 : backoffAfter(options.retry, receives - 1);
      await retryAfter(options.client, options.url, record.receiptHandle, delayMs);
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
}
