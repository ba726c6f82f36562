import { DeleteMessageCommand, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { awsError } from './errors.ts';
import { retryAfter } from './queue.ts';

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
  /** Up to 10 messages, hidden from others for ten minutes; none when the queue is empty or all are hidden. */
  receive(): Promise<DeadMessage[]>;
  remove(message: DeadMessage): Promise<void>;
  /** Makes it visible again at once. */
  putBack(message: DeadMessage): Promise<void>;
}

/** Longer than the function may run, so that it sees no message twice. */
const HIDDEN_SECONDS = 600;
/** A short poll asks only some of SQS's servers, and can find nothing in a queue that has messages. */
const POLL_SECONDS = 1;

export function openDeadLetters(client: SQSClient, url: string): DeadLetterQueue {
  return {
    async receive() {
      const command = new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: 10,
        VisibilityTimeout: HIDDEN_SECONDS,
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
    async putBack({ receiptHandle }) {
      await retryAfter(client, url, receiptHandle, 0);
    },
  };
}
