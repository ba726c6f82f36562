import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { createSlots } from '../../core/model/slots.ts';
import { awsError } from './errors.ts';

/** A message that a dead-letter queue holds. */
export interface DeadMessage {
  id: string;
  body: string;
  receiptHandle: string;
  /** When it was sent, epoch ms. */
  sentAt: number;
}

/** The reading side of a dead-letter queue. */
export interface DeadLetterQueue {
  /** Up to 10 messages, hidden for {@link HIDDEN_MS}; none when the queue is empty or all are hidden. */
  receive(): Promise<DeadMessage[]>;
  remove(message: DeadMessage): Promise<void>;
  /** Makes messages visible again at once. One that cannot be put back comes by itself when its time is over. */
  putBack(receiptHandles: string[]): Promise<void>;
}

/** Whoever goes through the letters takes less time, so that nobody sees one twice. */
export const HIDDEN_MS = 600_000;
/** A short poll asks only some of SQS's servers, and can find nothing in a queue that has messages. */
const POLL_SECONDS = 1;
/** ChangeMessageVisibilityBatch. */
const MAX_ENTRIES = 10;
const REQUESTS_AT_ONCE = 8;

export function openDeadLetters(client: SQSClient, url: string): DeadLetterQueue {
  return {
    async receive() {
      const command = new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: 10,
        VisibilityTimeout: HIDDEN_MS / 1000,
        WaitTimeSeconds: POLL_SECONDS,
        MessageSystemAttributeNames: ['SentTimestamp'],
      });
      const { Messages = [] } = await client.send(command).catch((error) => {
        throw awsError('receive dead letters', error);
      });
      return Messages.map(({ MessageId = '', Body = '', ReceiptHandle = '', Attributes }) => ({
        id: MessageId,
        body: Body,
        receiptHandle: ReceiptHandle,
        sentAt: Number(Attributes?.SentTimestamp ?? 0),
      }));
    },
    async remove({ receiptHandle }) {
      await client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: receiptHandle })).catch((error) => {
        throw awsError('remove a dead letter', error);
      });
    },
    async putBack(receiptHandles) {
      const slots = createSlots(REQUESTS_AT_ONCE);
      const batches = Array.from({ length: Math.ceil(receiptHandles.length / MAX_ENTRIES) }, (_, n) =>
        receiptHandles.slice(n * MAX_ENTRIES, (n + 1) * MAX_ENTRIES),
      );
      const send = (batch: string[]) =>
        client.send(
          new ChangeMessageVisibilityBatchCommand({
            QueueUrl: url,
            Entries: batch.map((ReceiptHandle, n) => ({ Id: String(n), ReceiptHandle, VisibilityTimeout: 0 })),
          }),
        );
      await Promise.allSettled(batches.map((batch) => slots(() => send(batch))));
    },
  };
}
