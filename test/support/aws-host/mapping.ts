import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { Answer } from './lambda-process.ts';
import { region } from './template.ts';
import { parseTrace, TRACE_ATTRIBUTE, type Trace } from './trace.ts';

export interface MappingOptions {
  client: SQSClient;
  queueUrl: string;
  queueArn: string;
  batchSize: number;
  /** ReportBatchItemFailures. */
  reportsItems: boolean;
  concurrency: number;
  invoke(event: object, trace: Trace | undefined): Promise<Answer>;
  /** A message of a failed invocation comes again after this time, where the function said nothing else about it. */
  longestWaitSeconds: number;
  /** True where the function itself has changed the message's visibility. */
  isVisibilityChanged(receiptHandle: string): boolean;
}

export interface Mapping {
  /**
   * Deliveries that SQS may make any time ("at-least-once delivery"): every second message twice, at the same time or
   * apart, and in any order.
   */
  unruly: boolean;
  close(): Promise<void>;
}

/** How many messages an unruly queue shuffles. */
const SHUFFLED = 10;

/**
 * An event source mapping of an SQS queue by AWS's rules
 * (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html). Differences: pollers are not scaled
 * up and down, and after a failure they do not back off.
 */
export function startMapping(options: MappingOptions): Mapping {
  const { client, queueUrl } = options;
  const closing = new AbortController();
  const mapping: Mapping = {
    unruly: false,
    async close() {
      closing.abort();
      await Promise.all(pollers);
    },
  };

  async function receive(count: number): Promise<Message[]> {
    const command = new ReceiveMessageCommand({
      QueueUrl: queueUrl,
      MaxNumberOfMessages: Math.min(count, 10),
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
      WaitTimeSeconds: 5,
    });
    const { Messages = [] } = await client.send(command, { abortSignal: closing.signal });
    return Messages;
  }

  async function deliver(messages: Message[]): Promise<void> {
    const event = { Records: messages.map((message) => recordOf(message, options.queueArn)) };
    const answer = await options.invoke(event, parseTrace(traceOf(messages[0])));
    const failed = failedIds(answer, messages, options.reportsItems);
    for (const message of messages) {
      const receipt = { QueueUrl: queueUrl, ReceiptHandle: message.ReceiptHandle! };
      if (!failed.has(message.MessageId!)) {
        await client.send(new DeleteMessageCommand(receipt));
      } else if (!options.isVisibilityChanged(message.ReceiptHandle!)) {
        const wait = { ...receipt, VisibilityTimeout: options.longestWaitSeconds };
        // Not in flight any more where its double was done with.
        await client.send(new ChangeMessageVisibilityCommand(wait)).catch(() => undefined);
      }
    }
  }

  /** Deliveries of an unruly queue that are still to be made; each is a batch of one. */
  const pending: Message[] = [];
  let received = 0;

  async function step(): Promise<void> {
    if (!mapping.unruly && pending.length === 0) {
      const messages = await receive(options.batchSize);
      if (messages.length > 0) await deliver(messages);
      return;
    }
    if (pending.length === 0) {
      const messages = await receive(SHUFFLED);
      const doubles = messages.filter(() => {
        received += 1;
        return received % 2 === 1;
      });
      pending.push(...shuffle([...messages, ...doubles]));
    }
    const message = pending.pop();
    if (message !== undefined) await deliver([message]);
  }

  async function poll(): Promise<void> {
    while (!closing.signal.aborted) {
      await step().catch((error: unknown) => {
        if (!closing.signal.aborted) throw error;
      });
    }
  }

  const pollers = Array.from({ length: options.concurrency }, poll);
  return mapping;
}

/** Which messages of a batch have failed: all where the answer is not what it should be. */
export function failedIds(answer: Answer, messages: Message[], reportsItems: boolean): Set<string> {
  const all = new Set(messages.map(({ MessageId }) => MessageId!));
  if (!answer.ok) return all;
  if (!reportsItems) return new Set();
  const result = JSON.parse(answer.payload) as { batchItemFailures?: { itemIdentifier?: string }[] | null } | null;
  const failures = result?.batchItemFailures ?? [];
  if (typeof result !== 'object' || !Array.isArray(failures)) return all;
  const ids = failures.map((failure) => failure?.itemIdentifier);
  return ids.every((id) => typeof id === 'string' && all.has(id)) ? new Set(ids as string[]) : all;
}

function traceOf(message: Message | undefined): string | undefined {
  return message?.MessageAttributes?.[TRACE_ATTRIBUTE]?.StringValue;
}

function recordOf(message: Message, queueArn: string): object {
  return {
    messageId: message.MessageId,
    receiptHandle: message.ReceiptHandle,
    body: message.Body,
    attributes: { ...message.Attributes, [TRACE_ATTRIBUTE]: traceOf(message) },
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {})
        .filter(([name]) => name !== TRACE_ATTRIBUTE)
        .map(([name, { DataType, StringValue }]) => [name, { dataType: DataType, stringValue: StringValue }]),
    ),
    md5OfBody: message.MD5OfBody,
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: region,
  };
}

function shuffle<T>(list: T[]): T[] {
  return list
    .map((entry) => ({ entry, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ entry }) => entry);
}
