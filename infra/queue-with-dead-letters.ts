import { Duration } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

/** The longest that SQS has. A message keeps the time of its sending when it becomes a dead letter. */
const RETENTION = Duration.days(14);

/**
 * A delivery that ends without an answer (out of memory, killed, out of time) counts; what is tried again on purpose is
 * sent as a new message and does not. AWS advises 5 at least for a queue that Lambda reads.
 */
export const MAX_RECEIVES = 5;

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
      // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html: six times the function's timeout.
      visibilityTimeout: Duration.seconds(6 * props.functionTimeout.toSeconds()),
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
