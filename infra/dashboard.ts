import { Duration } from 'aws-cdk-lib';
import { Dashboard as CloudWatchDashboard, GraphWidget, type IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { Count } from '../functions/aws/telemetry.ts';
import { pipelineMetric } from './pipeline-metric.ts';
import type { PipelineParts } from './pipeline-parts.ts';

/** One page that shows whether everything is in step, what is being moved and what waits. */
export class Dashboard extends Construct {
  constructor(scope: Construct, id: string, parts: PipelineParts) {
    super(scope, id);
    const { tasks, pushedTasks, longTasks, plans, planner, copier, redrive, webhook } = parts;
    const count = (metricName: Count) =>
      pipelineMetric(this, metricName, { period: Duration.minutes(5), label: metricName });
    const graph = (title: string, ...left: IMetric[]) => new GraphWidget({ title, left, width: 8, height: 6 });
    const functions = Object.entries({ planner, copier, redrive, ...(webhook && { webhook: webhook.handler }) });
    new CloudWatchDashboard(this, 'Dashboard', {
      defaultInterval: Duration.days(1),
      widgets: [
        [
          graph('Tags in step', count('InStep')),
          graph('Tags copied', count('TasksSent'), count('Copied'), count('Failed')),
          graph('Bytes copied', count('BytesCopied')),
        ],
        [
          graph(
            'Waiting',
            tasks.queue.metricApproximateNumberOfMessagesVisible({ label: 'tasks' }),
            tasks.queue.metricApproximateNumberOfMessagesDelayed({ label: 'tasks put off' }),
            ...(pushedTasks
              ? [pushedTasks.queue.metricApproximateNumberOfMessagesVisible({ label: 'pushed tags' })]
              : []),
            longTasks.queue.metricApproximateNumberOfMessagesVisible({ label: 'long tasks' }),
            plans.queue.metricApproximateNumberOfMessagesVisible({ label: 'plans' }),
            tasks.deadLetters.metricApproximateNumberOfMessagesVisible({ label: 'dead tasks' }),
          ),
          graph(
            'Set backs',
            count('Retried'),
            count('HandedOver'),
            count('TooLong'),
            count('Parked'),
            count('SetAside'),
            count('RulesFailed'),
          ),
          graph('Dead letters', count('Redriven'), count('Dropped'), count('Unreadable')),
        ],
        [
          graph(
            'Longest invocation',
            ...functions.map(([label, { lambda }]) => lambda.metricDuration({ label, statistic: 'Maximum' })),
          ),
          graph(
            'Errors and throttles',
            ...functions.map(([label, { lambda }]) => lambda.metricErrors({ label, statistic: 'Sum' })),
            ...functions.map(([label, { lambda }]) =>
              lambda.metricThrottles({ label: `${label} throttled`, statistic: 'Sum' }),
            ),
          ),
          graph(
            'Concurrent',
            ...functions.map(([label, { lambda }]) =>
              lambda.metric('ConcurrentExecutions', { label, statistic: 'Maximum' }),
            ),
          ),
        ],
        ...(webhook
          ? [
              [
                graph('Push events', count('Announced'), count('TasksSent')),
                graph('Push events not taken', count('Unmatched'), count('Refused')),
                graph(
                  'Longest wait of a pushed tag (s)',
                  ...(pushedTasks
                    ? [pushedTasks.queue.metricApproximateAgeOfOldestMessage({ statistic: 'Maximum' })]
                    : []),
                ),
              ],
            ]
          : []),
      ],
    });
  }
}
