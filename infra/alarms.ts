import { Annotations, Duration } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Construct } from 'constructs';
import type { Count } from '../functions/aws/telemetry.ts';
import { longestGap } from './longest-gap.ts';
import { pipelineMetric } from './pipeline-metric.ts';
import type { PipelineParts } from './pipeline-parts.ts';
import type { Settings } from './props.ts';

/** A task may wait a day for a registry that asked to be left alone. What is older is stuck. */
const OLDEST = Duration.hours(26);
const PERIOD = Duration.minutes(5);
/** A container takes some minutes to start, and a worker may be at other tasks. */
const LONG_WAIT = Duration.hours(1);
/** From the start of a run to its first tag in step: lists and HEADs of a large repository, or a first copy. */
const RUN_HOURS = 1;
/**
 * An alarm with periods of an hour can look back seven days.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
 */
const MOST_HOURS = 7 * 24;

/**
 * What a person should look at; docs/aws.md says what to do about each. An alarm on arrivals rings for each new one and
 * is over five minutes later, so that a message which stays in a dead-letter queue hides no later one. Without a topic,
 * alarms show only in the console.
 *
 * An account has ten alarms for nothing, each on one metric; a composite alarm costs as much as five more. So there is
 * one for each thing that a person would do, and none for what another one tells too: docs/cost.md.
 */
export class Alarms extends Construct {
  constructor(scope: Construct, id: string, { parts, settings }: { parts: PipelineParts; settings: Settings }) {
    super(scope, id);
    const { tasks, pushedTasks, longTasks, missedTriggers, planner, copier, webhook, topic } = parts;
    const add = (
      name: string,
      alarmDescription: string,
      metric: IMetric,
      threshold: number,
      more: { missing?: TreatMissingData; periods?: number; below?: boolean } = {},
    ) => {
      const alarm = new Alarm(this, name, {
        alarmDescription,
        metric,
        threshold,
        evaluationPeriods: more.periods ?? 1,
        comparisonOperator: more.below
          ? ComparisonOperator.LESS_THAN_THRESHOLD
          : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treatMissingData: more.missing ?? TreatMissingData.NOT_BREACHING,
      });
      if (topic) {
        alarm.addAlarmAction(new SnsAction(topic));
        alarm.addOkAction(new SnsAction(topic));
      }
    };
    const count = (metricName: Count) => pipelineMetric(this, metricName, { period: PERIOD });

    add(
      'DeadLetters',
      'New dead letters: tasks or rules that could not be done, or messages that cannot be read. See the logs of copier and planner',
      count('SetAside'),
      1,
    );
    add(
      'MissedTriggers',
      'A schedule or an event of ECR did not reach its function, or the function failed. It is in the queue MissedTriggers',
      missedTriggers.metricNumberOfMessagesSent({ period: PERIOD, statistic: 'Sum' }),
      1,
    );
    for (const [name, { queue }] of Object.entries({
      Tasks: tasks,
      ...(pushedTasks && { PushedTasks: pushedTasks }),
    })) {
      add(
        `Oldest${name}`,
        'A message waits for more than a day: too few copiers, or a stuck queue',
        queue.metricApproximateAgeOfOldestMessage({ period: PERIOD, statistic: 'Maximum' }),
        OLDEST.toSeconds(),
      );
    }
    add(
      'LongTasks',
      'Tasks that take longer than a copier has wait for a long worker: start one, or more of them',
      longTasks.queue.metricApproximateNumberOfMessagesVisible({ period: PERIOD, statistic: 'Minimum' }),
      1,
      { periods: Math.ceil(LONG_WAIT.toSeconds() / PERIOD.toSeconds()) },
    );
    // Redrive has no alarm of its own: what it fails at is a missed trigger.
    const watched = { Planner: planner, Copier: copier, ...(webhook && { Webhook: webhook.handler }) };
    for (const [name, { lambda }] of Object.entries(watched)) {
      add(
        `${name}Errors`,
        `The ${name.toLowerCase()} breaks off. See its log`,
        lambda.metricErrors({ period: PERIOD, statistic: 'Sum' }),
        1,
      );
    }
    // The limit is the account's, and the copiers are the ones who come to it.
    add(
      'CopierThrottles',
      "The account's limit of concurrent functions is reached",
      copier.lambda.metricThrottles({ period: PERIOD, statistic: 'Sum' }),
      1,
    );
    if (webhook) {
      add(
        'RefusedSenders',
        'Push events with a wrong token or signature: a changed secret, or an attack',
        count('Refused'),
        10,
      );
    }
    const hours = hoursOfSilence(settings);
    if (hours === undefined) {
      const told = `no schedule is known to start a run every ${MOST_HOURS - RUN_HOURS} hours: there is no alarm NothingInStep`;
      Annotations.of(this).addInfoV2('tranship:NothingInStep', told);
      return;
    }
    add(
      'NothingInStep',
      `For ${hours} hours, longer than any time between two runs, no tag was found or made equal to its source`,
      pipelineMetric(this, 'InStep', { period: Duration.hours(1) }),
      1,
      { missing: TreatMissingData.BREACHING, periods: hours, below: true },
    );
  }
}

/**
 * So many hours without a tag in step mean that a run was missed. Each schedule starts a run within its own longest
 * gap, so the one with the shortest gap decides.
 */
function hoursOfSilence({ schedules, flexibleWindowMinutes }: Settings): number | undefined {
  const gaps = schedules.flatMap((schedule) => longestGap(schedule) ?? []);
  if (gaps.length === 0) return undefined;
  // An hour may have begun when a run starts, and the alarm counts whole ones.
  const hours = Math.ceil(Math.min(...gaps) / 3_600_000 + flexibleWindowMinutes / 60) + RUN_HOURS;
  return hours <= MOST_HOURS ? hours : undefined;
}
