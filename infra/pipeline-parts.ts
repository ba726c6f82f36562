import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { PipelineFunction } from './pipeline-function.ts';
import type { QueueWithDeadLetters } from './queue-with-dead-letters.ts';
import type { Webhook } from './webhook.ts';

/** What of the pipeline there is to watch. */
export interface PipelineParts {
  readonly tasks: QueueWithDeadLetters;
  readonly pushedTasks: QueueWithDeadLetters | undefined;
  /** Tasks that take longer than a copier has. */
  readonly longTasks: QueueWithDeadLetters;
  readonly plans: QueueWithDeadLetters;
  /** Triggers that did not reach their function. */
  readonly missedTriggers: IQueue;
  readonly planner: PipelineFunction;
  readonly copier: PipelineFunction;
  readonly redrive: PipelineFunction;
  /** Takes push events, where that is wanted. */
  readonly webhook: Webhook | undefined;
  /** Takes alarms and failed runs. */
  readonly topic: ITopic | undefined;
}
