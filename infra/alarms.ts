import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Construct } from 'constructs';
import type { Count } from '../functions/aws/telemetry.ts';
import { metricNamespace } from './pipeline-function.ts';
import type { PipelineParts } from './pipeline-parts.ts';

/** A task may wait so long for a registry that has had enough; what is older is stuck. */
const OLDEST = Duration.hours(26);

/** What a person should look at. Without a topic they only show in the console. */
export class Alarms extends Construct {
  constructor(scope: Construct, id: string, parts: PipelineParts) {
    super(scope, id);
    const { tasks, pushedTasks, plans, missedTriggers, planner, copier, redrive, webhook, topic } = parts;
    const period = Duration.minutes(5);
    const add = (
      name: string,
      alarmDescription: string,
      metric: IMetric,
      threshold: number,
      missing = TreatMissingData.NOT_BREACHING,
    ) => {
      const alarm = new Alarm(this, name, {
        alarmDescription,
        metric,
        threshold,
        evaluationPeriods: 1,
        comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treatMissingData: missing,
      });
      if (topic) alarm.addAlarmAction(new SnsAction(topic));
    };

    const dead = { period, statistic: 'Maximum' };
    add(
      'DeadTasks',
      'Tasks that could not be done: they are tried again by redrive, or fail for good',
      tasks.deadLetters.metricApproximateNumberOfMessagesVisible(dead),
      1,
    );
    add(
      'DeadPlans',
      'Rules that could not be expanded because their planner broke off',
      plans.deadLetters.metricApproximateNumberOfMessagesVisible(dead),
      1,
    );
    add(
      'MissedTriggers',
      'A schedule or an event of ECR did not reach its function',
      missedTriggers.metricApproximateNumberOfMessagesVisible(dead),
      1,
    );
    for (const [name, { queue }] of Object.entries({
      Tasks: tasks,
      Plans: plans,
      ...(pushedTasks && { PushedTasks: pushedTasks }),
    })) {
      add(
        `Oldest${name}`,
        'A message waits for more than a day: too few copiers, or a stuck queue',
        queue.metricApproximateAgeOfOldestMessage({ period, statistic: 'Maximum' }),
        OLDEST.toSeconds(),
      );
    }
    for (const [name, { lambda }] of Object.entries({
      Planner: planner,
      Copier: copier,
      Redrive: redrive,
      ...(webhook && { Webhook: webhook.handler }),
    })) {
      add(
        `${name}Errors`,
        `The ${name.toLowerCase()} breaks off: see its log`,
        lambda.metricErrors({ period, statistic: 'Sum' }),
        1,
      );
      add(
        `${name}Throttles`,
        "The account's limit of concurrent functions is reached",
        lambda.metricThrottles({ period, statistic: 'Sum' }),
        1,
      );
    }
    if (webhook) {
      const events = (metricName: Count) =>
        new Metric({
          namespace: metricNamespace(scope),
          metricName,
          dimensionsMap: { service: 'webhook' },
          statistic: 'Sum',
          period,
        });
      add(
        'RefusedSenders',
        'Push events with a wrong token or signature: a changed secret, or an attack',
        events('Refused'),
        10,
      );
      add(
        'UnmatchedEvents',
        'Many push events that no rule takes: a sender that tells of too much',
        events('Unmatched'),
        1000,
      );
    }
    add(
      'NothingInStep',
      'For a day no tag was found or made equal to its source',
      new MathExpression({
        // 1 where both together are 0.
        expression: 'IF(FILL(planned, 0) + FILL(copied, 0) < 1, 1, 0)',
        usingMetrics: { planned: inStep(scope, 'planner'), copied: inStep(scope, 'copier') },
        period: Duration.days(1),
        label: 'nothing in step',
      }),
      1,
      TreatMissingData.BREACHING,
    );
  }
}

/** Destination tags that a function found, or made, equal to their source. */
export function inStep(scope: Construct, service: string): Metric {
  return new Metric({
    namespace: metricNamespace(scope),
    metricName: 'InStep',
    dimensionsMap: { service },
    statistic: 'Sum',
    period: Duration.days(1),
  });
}
