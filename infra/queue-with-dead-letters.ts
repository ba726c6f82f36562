import { Duration } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { MAX_RECEIVES } from '../functions/aws/max-receives.ts';

/** The longest that SQS has. A message keeps the time of its sending when it becomes a dead letter. */
const RETENTION = Duration.days(14);

/**
 * How long a message stays hidden beyond the timeout of the function that has it. AWS advises six timeouts, for
 * functions that are throttled while they hold a batch. Here batches have one message, and each mapping has a maximum
 * concurrency, so that Lambda takes no more than it can invoke. Six timeouts would hide the tag of a killed copier for
 * 90 minutes. What an account's own limit throttles for longer than this is delivered again, which MAX_RECEIVES leaves
 * room for. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
 */
const HIDDEN_BEYOND_TIMEOUT = Duration.minutes(1);

export interface QueueWithDeadLettersProps {
  /** Of the function that reads the queue. */
  functionTimeout: Duration;
  /** Those of another queue with messages of the same kind. @default a queue of its own */
  deadLetters?: IQueue;
  encryptionKey?: IKey;
}

/** A queue that a function reads, and where its messages go that nobody could finish. */
export class QueueWithDeadLetters extends Construct {
  readonly queue: IQueue;
  readonly deadLetters: IQueue;

  constructor(scope: Construct, id: string, props: QueueWithDeadLettersProps) {
    super(scope, id);
    this.deadLetters = props.deadLetters ?? new Queue(this, 'DeadLetters', queueSettings(props.encryptionKey));
    this.queue = new Queue(this, 'Queue', {
      ...queueSettings(props.encryptionKey),
      visibilityTimeout: props.functionTimeout.plus(HIDDEN_BEYOND_TIMEOUT),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: MAX_RECEIVES },
    });
  }
}

/** What all queues have in common. */
export function queueSettings(encryptionKey: IKey | undefined) {
  return {
    retentionPeriod: RETENTION,
    enforceSSL: true,
    ...(encryptionKey === undefined
      ? { encryption: QueueEncryption.SQS_MANAGED }
      : { encryption: QueueEncryption.KMS, encryptionMasterKey: encryptionKey }),
  };
}
