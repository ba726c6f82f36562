import { Validations } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Key } from 'aws-cdk-lib/aws-kms';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import type { TranshipProps } from '../../infra/props.ts';
import { TranshipStack } from '../../infra/tranship-stack.ts';
import { overQuota } from '../support/quotas.ts';
import { newApp, oneRule, rulesFile, synthesise } from '../support/synth.ts';

const ecrRules = oneRule.replace('registry.example.com', '123456789012.dkr.ecr.eu-central-1.amazonaws.com');
const text = rulesFile(ecrRules);
const role = synthesise({ rulesFile: text, longWorker: 'role' });
const fargate = synthesise({ rulesFile: text, longWorker: 'fargate' });

/** What a role may do, `action on resource`. */
function rightsOf(template: Template, name: string): Set<string> {
  const policies = template.findResources('AWS::IAM::Policy');
  const all = Object.entries(policies).filter(([id]) => id.includes(`${name}Role`));
  const statements = all.flatMap(([, { Properties }]) => Properties.PolicyDocument.Statement);
  return new Set(
    statements.flatMap(({ Action, Resource }) =>
      [Action].flat().flatMap((action) => [Resource].flat().map((one) => `${action} on ${JSON.stringify(one)}`)),
    ),
  );
}

describe('a long worker', () => {
  it('is not there unless it is wanted, and its queue is', () => {
    const plain = synthesise();
    expect([...rightsOf(plain, 'LongWorker')]).toEqual([]);
    plain.resourceCountIs('AWS::ECS::Service', 0);
    plain.hasOutput('LongTaskQueueUrl', {});
    plain.hasOutput('WorkerSettings', { Value: '{"attempts":5,"backoffSeconds":30,"createEcrRepositories":false}' });
  });

  it.each([
    ['role', role, ['cloudformation:DescribeStacks on {"Ref":"AWS::StackId"}']],
    ['fargate', fargate, []],
  ])('as %s may do what a copier may, at its own queue, and nothing else', (_kind, template, more) => {
    const copier = rightsOf(template, 'Copier');
    const beyond = [...rightsOf(template, 'LongWorker')].filter((right) => !copier.has(right));
    const own = ['ReceiveMessage', 'DeleteMessage', 'ChangeMessageVisibility'].map((action) =>
      expect.stringMatching(new RegExp(`^sqs:${action} on .*LongTasksQueue`)),
    );
    expect(beyond).toEqual([...own, ...more]);
    const missing = [...copier].filter((right) => /dynamodb|ecr|secrets/.test(right));
    expect(missing.filter((right) => !rightsOf(template, 'LongWorker').has(right))).toEqual([]);
  });

  it('on a machine of its own takes a role of the account', () => {
    role.hasOutput('LongWorkerRole', {});
    role.hasResourceProperties('AWS::IAM::Role', {
      Description: 'Of the long workers of Tranship',
      AssumeRolePolicyDocument: {
        Statement: [Match.objectLike({ Principal: { AWS: Match.anyValue() }, Action: 'sts:AssumeRole' })],
      },
    });
  });

  it('in the stack is there only while there are tasks, and no work is stopped on the way back', () => {
    fargate.hasResourceProperties('AWS::ECS::Service', {
      DesiredCount: 0,
      NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'ENABLED' } },
    });
    fargate.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', { MinCapacity: 0, MaxCapacity: 1 });
    const steps = Object.values(fargate.findResources('AWS::ApplicationAutoScaling::ScalingPolicy')).map(
      ({ Properties }) => Properties.StepScalingPolicyConfiguration,
    );
    expect(steps).toMatchObject([
      { AdjustmentType: 'ExactCapacity', StepAdjustments: [{ ScalingAdjustment: 1, MetricIntervalLowerBound: 0 }] },
      { AdjustmentType: 'ExactCapacity', StepAdjustments: [{ ScalingAdjustment: 0, MetricIntervalUpperBound: 0 }] },
    ]);
    fargate.hasResourceProperties('AWS::CloudWatch::Alarm', {
      EvaluationPeriods: 10,
      ComparisonOperator: 'LessThanThreshold',
      Metrics: Match.arrayWith([
        Match.objectLike({ Expression: 'FILL(waiting, 0) + FILL(inFlight, 0)' }),
        Match.objectLike({
          MetricStat: Match.objectLike({
            Metric: Match.objectLike({ MetricName: 'ApproximateNumberOfMessagesNotVisible' }),
          }),
        }),
      ]),
    });
  });

  it('in the stack runs one small container that nobody can connect to', () => {
    fargate.resourceCountIs('AWS::EC2::NatGateway', 0);
    fargate.resourceCountIs('AWS::EC2::SecurityGroupIngress', 0);
    const [group] = Object.values(fargate.findResources('AWS::EC2::SecurityGroup'));
    expect(group?.Properties.SecurityGroupIngress).toBeUndefined();
    fargate.hasResourceProperties('AWS::ECS::TaskDefinition', {
      Cpu: '1024',
      Memory: '2048',
      RuntimePlatform: { CpuArchitecture: 'ARM64' },
      ContainerDefinitions: [Match.objectLike({ ReadonlyRootFilesystem: true, StopTimeout: 60 })],
    });
    expect(overQuota(fargate)).toEqual([]);
  });

  it.each([
    ['', {}],
    [' in a VPC', { vpc: true }],
    [' with a key', { key: true }],
  ])('leaves nothing for cdk-nag to say%s', (_where, { vpc, key }: { vpc?: boolean; key?: boolean }) => {
    for (const longWorker of ['role', 'fargate'] as const) {
      const app = newApp();
      Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
      const own = new TranshipStack(app, 'Own', { rulesFile: text });
      const props: Partial<TranshipProps> = {
        ...(vpc && {
          vpc: Vpc.fromVpcAttributes(own, 'Vpc', {
            vpcId: 'vpc-0123456789abcdef0',
            availabilityZones: ['eu-central-1a'],
            privateSubnetIds: ['subnet-0123456789abcdef0'],
            privateSubnetRouteTableIds: ['rtb-0123456789abcdef0'],
          }),
        }),
        ...(key && { encryptionKey: new Key(own, 'Key', { enableKeyRotation: true }) }),
      };
      const stack = new TranshipStack(app, 'Tranship', { rulesFile: text, longWorker, ...props });
      expect(() => app.synth()).not.toThrow();
      const template = Template.fromStack(stack);
      if (vpc && longWorker === 'fargate') {
        template.resourceCountIs('AWS::EC2::VPC', 0);
        template.hasResourceProperties('AWS::ECS::Service', {
          NetworkConfiguration: {
            AwsvpcConfiguration: { AssignPublicIp: 'DISABLED', Subnets: ['subnet-0123456789abcdef0'] },
          },
        });
      }
    }
  });
});
