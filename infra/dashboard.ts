import { Duration } from 'aws-cdk-lib';
import { Dashboard as CloudWatchDashboard, GraphWidget, type IMetric, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { Count } from '../functions/aws/telemetry.ts';
import { metricNamespace } from './pipeline-function.ts';
import type { PipelineParts } from './pipeline-parts.ts';

type Service = 'planner' | 'copier' | 'redrive' | 'webhook';

/** One page that shows whether everything is in step, what is being moved and what waits. */
export class Dashboard extends Construct {
  constructor(scope: Construct, id: string, parts: PipelineParts) {
    super(scope, id);
    const { tasks, pushedTasks, plans, planner, copier, redrive, webhook } = parts;
    const count = (service: Service, metricName: Count, label: string = metricName) =>
      new Metric({
        namespace: metricNamespace(this),
        metricName,
        dimensionsMap: { service },
        statistic: 'Sum',
        period: Duration.minutes(5),
        label,
      });
    const graph = (title: string, ...left: IMetric[]) => new GraphWidget({ title, left, width: 8, height: 6 });
    const functions = Object.entries({ planner, copier, redrive, ...(webhook && { webhook: webhook.handler }) });
    new CloudWatchDashboard(this, 'Dashboard', {
      defaultInterval: Duration.days(1),
      widgets: [
        [
          graph('Planned tags', count('planner', 'Planned'), count('planner', 'InStep'), count('planner', 'TasksSent')),
          graph('Copied tags', count('copier', 'Copied'), count('copier', 'InStep'), count('copier', 'Failed')),
          graph('Bytes copied', count('copier', 'BytesCopied')),
        ],
        [
          graph(
            'Waiting',
            tasks.queue.metricApproximateNumberOfMessagesVisible({ label: 'tasks' }),
            tasks.queue.metricApproximateNumberOfMessagesDelayed({ label: 'tasks put off' }),
            ...(pushedTasks
              ? [pushedTasks.queue.metricApproximateNumberOfMessagesVisible({ label: 'pushed tags' })]
              : []),
            plans.queue.metricApproximateNumberOfMessagesVisible({ label: 'plans' }),
            tasks.deadLetters.metricApproximateNumberOfMessagesVisible({ label: 'dead tasks' }),
          ),
          graph(
            'Set backs',
            count('copier', 'Retried'),
            count('copier', 'HandedOver'),
            count('copier', 'Parked'),
            count('copier', 'SetAside'),
            count('planner', 'RulesFailed'),
          ),
          graph(
            'Dead letters',
            count('redrive', 'Redriven'),
            count('redrive', 'Dropped'),
            count('redrive', 'Failed'),
            count('redrive', 'Unreadable'),
          ),
        ],
        [
          graph(
            'Longest invocation',
            ...functions.map(([label, { lambda }]) => lambda.metricDuration({ label, statistic: 'Maximum' })),
          ),
          graph('Errors', ...functions.map(([label, { lambda }]) => lambda.metricErrors({ label, statistic: 'Sum' }))),
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
                graph('Push events', count('webhook', 'Announced'), count('webhook', 'TasksSent')),
                graph('Push events not taken', count('webhook', 'Unmatched'), count('webhook', 'Refused')),
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
