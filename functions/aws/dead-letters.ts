import { DeleteMessageCommand, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { fromAws } from './errors.ts';
import { retryAfter } from './queue.ts';

export interface DeadLetter {
  id: string;
  body: string;
  receiptHandle: string;
}

/** The reading side of a dead-letter queue. */
export interface DeadLetters {
  /** Up to 10, hidden from others for ten minutes; none where the queue is empty, or all are hidden. */
  receive(): Promise<DeadLetter[]>;
  remove(letter: DeadLetter): Promise<void>;
  /** Shows it again at once. */
  putBack(letter: DeadLetter): Promise<void>;
}

/** Longer than the function may run, so that it sees none twice. */
const HIDDEN_SECONDS = 600;
/** A short poll asks only some of the servers, and may find nothing where there is something. */
const POLL_SECONDS = 1;

export function openDeadLetters(client: SQSClient, url: string): DeadLetters {
  return {
    async receive() {
      const command = new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: 10,
        VisibilityTimeout: HIDDEN_SECONDS,
        WaitTimeSeconds: POLL_SECONDS,
      });
      const { Messages = [] } = await client.send(command).catch((error) => {
        throw fromAws('receive dead letters', error);
      });
      return Messages.map(({ MessageId = '', Body = '', ReceiptHandle = '' }) => ({
        id: MessageId,
        body: Body,
        receiptHandle: ReceiptHandle,
      }));
    },
    async remove({ receiptHandle }) {
      await client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: receiptHandle })).catch((error) => {
        throw fromAws('remove a dead letter', error);
      });
    },
    async putBack({ receiptHandle }) {
      await retryAfter(client, url, receiptHandle, 0);
    },
  };
}
