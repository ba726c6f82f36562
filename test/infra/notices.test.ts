import { describe, expect, it } from 'vitest';
import { readPermissions } from '../support/aws-host/iam.ts';
import { resolved } from '../support/aws-host/resolved.ts';
import { readResourcePolicies } from '../support/aws-host/resource-policies.ts';
import { synthesise } from '../support/synth.ts';

const template = resolved(synthesise({ email: 'ops@example.com' }));
const policies = readResourcePolicies(template);
const topicArn = String(template.resolve({ Ref: template.ofType('AWS::SNS::Topic')[0]?.id }));

describe('the topic of alarms and failed runs', () => {
  const cloudWatch = 'cloudwatch.amazonaws.com';
  const alarms = template.ofType('AWS::CloudWatch::Alarm', 'AWS::CloudWatch::CompositeAlarm').map((alarm) => ({
    arn: String(template.resolve({ 'Fn::GetAtt': [alarm.id, 'Arn'] })),
    actions: alarm.properties,
  }));

  it('takes what each alarm publishes when it rings and when it is over', () => {
    expect(alarms.length).toBeGreaterThan(5);
    for (const { arn, actions } of alarms) {
      expect(actions).toMatchObject({ AlarmActions: [topicArn], OKActions: [topicArn] });
      expect(policies.mayPublish(topicArn, cloudWatch, arn)).toBe(true);
    }
  });

  it('takes nothing of other accounts, nor of other services', () => {
    const arn = alarms[0]?.arn ?? '';
    expect(policies.mayPublish(topicArn, cloudWatch, arn.replace('000000000000', '999999999999'), '999999999999')).toBe(
      false,
    );
    expect(policies.mayPublish(topicArn, 's3.amazonaws.com', 'arn:aws:s3:::bucket')).toBe(false);
  });

  it('takes what the planner tells of failed runs', () => {
    const role = template.ofType('AWS::IAM::Role').find(({ id }) => id.includes('Planner'))?.id ?? '';
    expect(readPermissions(template).check({ role, action: 'sns:Publish', resource: topicArn })).toBe(true);
  });
});
