import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { TranshipError } from '../../core/model/errors.ts';
import { createSlots } from '../../core/model/slots.ts';
import { formatMessage } from '../../core/pipeline/messages.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { awsError, isThrottle } from './errors.ts';
import { sendUntilTaken } from './resend.ts';

/** SendMessageBatch: 10 entries, 1 MiB for all of them and so for one. */
const MAX_ENTRIES = 10;
const MAX_BYTES = 1024 * 1024;
/** SendMessage, "DelaySeconds". */
const MAX_DELAY_MS = 900_000;
/** A message can stay hidden until 12 hours after its receipt; the margin is for the time that has passed since. */
const MAX_VISIBILITY_MS = 11 * 3600 * 1000;
const REQUESTS_AT_ONCE = 8;

export interface SqsQueue<T> {
  send(messages: T[], options?: { delayMs?: number }): Promise<void>;
}

/**
 * The sending side of an SQS standard queue; with `T` = Task it is the port `TaskQueue`.
 *
 * `send` queues all messages, or throws after it queued some; after a lost response one can be queued twice. SQS delays
 * by 15 minutes at most. A message that must wait longer carries the time in its body (`notBefore`), and whoever receives
 * it early passes it to {@link sendBackIfEarly}; so its waits do not count as receives.
 *
 * @throws TranshipError permanent for what SQS will never take, transient for the rest
 */
export function createQueue<T extends Task | PlanMessage | EndCheck>(options: {
  client: SQSClient;
  url: string;
  now?: () => number;
}): SqsQueue<T> {
  const { client, url } = options;
  const now = options.now ?? Date.now;
  return {
    async send(messages, { delayMs = 0 } = {}) {
      const notBefore = delayMs > MAX_DELAY_MS ? Math.ceil(now() + delayMs) : undefined;
      const delaySeconds = Math.ceil(Math.min(Math.max(delayMs, 0), MAX_DELAY_MS) / 1000);
      const batches = inBatches(messages.map((message) => acceptable(formatMessage(message, notBefore))));
      const slots = createSlots(REQUESTS_AT_ONCE);
      const sent = await Promise.allSettled(
        batches.map((batch) => slots(() => sendBatch(client, url, batch, delaySeconds))),
      );
      const failed = sent.find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
    },
  };
}

/**
 * Sends a message that came before its time back to its queue, as a new message whose receives count from zero.
 *
 * @returns true when it was sent back: the delivered message is done with
 */
export async function sendBackIfEarly<T extends Task | PlanMessage | EndCheck>(
  queue: SqsQueue<T>,
  delivered: { message: T; notBefore?: number },
  now: number = Date.now(),
): Promise<boolean> {
  const delayMs = (delivered.notBefore ?? 0) - now;
  // SQS delays by whole seconds, and its clock is not ours.
  if (delayMs < 1000) return false;
  await queue.send([delivered.message], { delayMs });
  return true;
}

/**
 * Makes a received message visible again after `delayMs` instead of after its visibility timeout. The next delivery
 * counts as a receive. For messages that are reported as failed.
 *
 * @returns false when it could not be done: the message still comes again, but later
 */
export async function retryAfter(
  client: SQSClient,
  url: string,
  receiptHandle: string,
  delayMs: number,
): Promise<boolean> {
  const seconds = Math.ceil(Math.min(Math.max(delayMs, 0), MAX_VISIBILITY_MS) / 1000);
  const command = new ChangeMessageVisibilityCommand({
    QueueUrl: url,
    ReceiptHandle: receiptHandle,
    VisibilityTimeout: seconds,
  });
  return client.send(command).then(
    () => true,
    () => false,
  );
}

/**
 * JSON that says the same in characters that SQS takes: U+FFFE and U+FFFF are none (SendMessageBatch, "MessageBody"), and
 * a registry's message may have them. Surrogates go the same way, since there are emulators that refuse pairs of them.
 */
function acceptable(json: string): string {
  return json.replace(/[\ud800-\udfff\ufffe\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`);
}

function inBatches(bodies: string[]): string[][] {
  const batches: string[][] = [];
  let batch: string[] = [];
  let bytes = 0;
  for (const body of bodies) {
    const size = Buffer.byteLength(body);
    if (size > MAX_BYTES) {
      throw new TranshipError(`send message: one message has ${size} bytes, SQS takes ${MAX_BYTES}`, {
        class: 'permanent',
        code: 'limit-exceeded',
        operation: 'send message',
        mend: 'give the rule fewer destinations',
      });
    }
    if (batch.length === MAX_ENTRIES || bytes + size > MAX_BYTES) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(body);
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

async function sendBatch(client: SQSClient, url: string, bodies: string[], delaySeconds: number): Promise<void> {
  let refusal: BatchResultErrorEntry | undefined;
  await sendUntilTaken(
    bodies,
    async (batch) => {
      const command = new SendMessageBatchCommand({
        QueueUrl: url,
        Entries: batch.map((body, index) => ({ Id: String(index), MessageBody: body, DelaySeconds: delaySeconds })),
      });
      const output = await client.send(command).catch((error) => {
        throw awsError('send message', error);
      });
      const failed = output.Failed ?? [];
      const fault = failed.find(({ SenderFault, Code = '' }) => SenderFault && !isThrottle(Code));
      if (fault) throw refused(fault, 'permanent');
      refusal = failed[0];
      return failed.flatMap(({ Id }) => batch[Number(Id)] ?? []);
    },
    () => refused(refusal, 'transient'),
  );
}

function refused(entry: BatchResultErrorEntry | undefined, errorClass: 'permanent' | 'transient'): TranshipError {
  return new TranshipError(`send message: SQS refuses it: ${entry?.Code}: ${entry?.Message}`, {
    class: errorClass,
    code: errorClass === 'permanent' ? 'refused' : 'server-error',
    operation: 'send message',
  });
}
