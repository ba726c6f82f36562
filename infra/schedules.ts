import { Aws, Duration } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { CfnSchedule } from 'aws-cdk-lib/aws-scheduler';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Settings } from './props.ts';

export interface SchedulesProps {
  settings: Settings;
  planner: LambdaFunction;
  redrive: LambdaFunction;
  /** Takes what could not be delivered to a function, and what a function did not take. */
  missedTriggers: IQueue;
}

/** A trigger is worth nothing when the next one is there. */
const MAX_EVENT_AGE = Duration.hours(1);

/** Starts runs, and looks at dead letters. */
export class Schedules extends Construct {
  constructor(scope: Construct, id: string, props: SchedulesProps) {
    super(scope, id);
    const { settings, planner, redrive, missedTriggers } = props;
    // Without the condition, a schedule of another account could name this role.
    // https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    const conditions = { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } };
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('scheduler.amazonaws.com', { conditions }) });
    role.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ['lambda:InvokeFunction'],
        resources: [planner.functionArn, redrive.functionArn],
      }),
    );
    role.addToPrincipalPolicy(
      new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [missedTriggers.queueArn] }),
    );
    if (settings.encryptionKey) {
      const actions = ['kms:Decrypt', 'kms:GenerateDataKey'];
      role.addToPrincipalPolicy(new PolicyStatement({ actions, resources: [settings.encryptionKey.keyArn] }));
    }
    // The scheduler invokes asynchronously: what fails then is Lambda's to try again.
    for (const target of [planner, redrive]) {
      target.configureAsyncInvoke({
        retryAttempts: 2,
        maxEventAge: MAX_EVENT_AGE,
        onFailure: new SqsDestination(missedTriggers),
      });
    }
    const target = (lambda: LambdaFunction, input: object) => ({
      arn: lambda.functionArn,
      roleArn: role.roleArn,
      input: JSON.stringify(input),
      retryPolicy: { maximumEventAgeInSeconds: MAX_EVENT_AGE.toSeconds(), maximumRetryAttempts: 10 },
      deadLetterConfig: { arn: missedTriggers.queueArn },
    });
    const window = settings.flexibleWindowMinutes;
    for (const schedule of settings.schedules) {
      new CfnSchedule(this, `Run-${schedule.name}`, {
        description: `Starts a run of Tranship: ${schedule.name}`,
        scheduleExpression: schedule.expression,
        scheduleExpressionTimezone: schedule.timeZone ?? 'UTC',
        flexibleTimeWindow: window === 0 ? { mode: 'OFF' } : { mode: 'FLEXIBLE', maximumWindowInMinutes: window },
        target: target(planner, {
          // The scheduler may deliver twice, and Lambda may try again: all are then one run.
          // https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
          scheduledTime: '<aws.scheduler.scheduled-time>',
          trigger: schedule.name,
          ...(schedule.rules && { rules: schedule.rules }),
        }),
      });
    }
    const minutes = settings.redriveEveryMinutes;
    new CfnSchedule(this, 'Redrive', {
      description: 'Has Tranship look at its dead letters',
      scheduleExpression: `rate(${minutes} ${minutes === 1 ? 'minute' : 'minutes'})`,
      flexibleTimeWindow: { mode: 'OFF' },
      target: target(redrive, { trigger: 'schedule' }),
    });
  }
}
