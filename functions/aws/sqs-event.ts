import type { SQSClient } from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSRecord } from 'aws-lambda';
import { hasCode, toFailure } from '../../core/model/errors.ts';
import { delayAfter, type TryPolicy } from '../../core/pipeline/try-policy.ts';
import { MAX_RECEIVES } from './max-receives.ts';
import { retryAfter } from './queue.ts';
import type { CountUp, Log } from './telemetry.ts';

/** What of a received message is read. */
export type ReceivedRecord = Pick<SQSRecord, 'messageId' | 'receiptHandle' | 'body'> & {
  attributes: Pick<SQSRecord['attributes'], 'ApproximateReceiveCount'>;
};

/**
 * Handles the messages of an event, and reports those that failed. A handler throws only for the unforeseen and for
 * unreadable messages. A failed message comes again with growing waits instead of after the queue's visibility timeout,
 * and becomes a dead letter in the end.
 */
export async function handleMessages<Received extends ReceivedRecord>(
  options: { client: SQSClient; url: string; policy: TryPolicy; log: Log; count: CountUp },
  event: { Records: Received[] },
  handle: (record: Received) => Promise<void>,
): Promise<SQSBatchResponse> {
  const batchItemFailures: SQSBatchResponse['batchItemFailures'] = [];
  for (const record of event.Records) {
    try {
      await handle(record);
    } catch (error) {
      const { messageId } = record;
      const receives = Number(record.attributes.ApproximateReceiveCount);
      options.log.error('message not handled', { messageId, receives, failure: toFailure(error) });
      // An unreadable message stays unreadable: it need not wait on its way to the dead letters.
      const isUnreadable = hasCode(error, 'unsupported', 'protocol') && error.class === 'permanent';
      const delay = delayAfter(options.policy.pause, receives - 1);
      const delayMs = isUnreadable || delay.kind !== 'after' ? 0 : delay.ms;
      await retryAfter(options.client, options.url, record.receiptHandle, delayMs);
      if (receives >= MAX_RECEIVES) options.count('SetAside');
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
}
