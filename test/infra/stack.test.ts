import { CfnParameter, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { describe, expect, it } from 'vitest';
import { movedTerabyte, restingBill, sum, unchangedMillion, workBill } from '../../bench/aws-bill.ts';
import type { TranshipProps } from '../../infra/props.ts';
import { Tranship } from '../../infra/tranship.ts';
import { readPermissions } from '../support/aws-host/iam.ts';
import { resolved } from '../support/aws-host/resolved.ts';
import { findResource, newApp, oneRule, rulesFile, synthesise, webhooksFile } from '../support/synth.ts';

const plain = synthesise();
const account = '123456789012';
const ecr = `${account}.dkr.ecr.eu-central-1.amazonaws.com`;

type Statement = { Action: string | string[]; Resource: unknown; Effect: string };

/** What the role of a function may do, by its policy. */
function statementsOf(template: typeof plain, role: RegExp): Statement[] {
  const policy = findResource(template, 'AWS::IAM::Policy', role);
  return (policy.PolicyDocument as unknown as { Statement: Statement[] }).Statement;
}

const every = (expression: string, timeZone?: string) => ({
  name: expression.replace(/\W+/g, '-'),
  expression,
  timeZone,
});

const actionsOf = (statements: Statement[]) => statements.flatMap(({ Action }) => Action);

describe('numbers that belong together', () => {
  const functions = { Tasks: 'Copier', Plans: 'Planner' };

  it.each(Object.entries(functions))('%s: visible again a minute after the timeout of the %s', (queue, name) => {
    const { VisibilityTimeout } = findResource(plain, 'AWS::SQS::Queue', new RegExp(`Tranship${queue}Queue`));
    const { Timeout } = findResource(plain, 'AWS::Lambda::Function', new RegExp(name));
    expect(VisibilityTimeout).toBe(Number(Timeout) + 60);
  });

  it('follow the settings', () => {
    const template = synthesise({ copierTimeoutMinutes: 5, copierMemoryMb: 512, copierConcurrency: 33 });
    expect(findResource(template, 'AWS::SQS::Queue', /TranshipTasksQueue/).VisibilityTimeout).toBe(360);
    expect(findResource(template, 'AWS::Lambda::Function', /Copier/)).toMatchObject({ Timeout: 300, MemorySize: 512 });
    expect(findResource(template, 'AWS::Lambda::EventSourceMapping', /Copier/).ScalingConfig).toEqual({
      MaximumConcurrency: 33,
    });
  });

  it('a message is a dead letter after ten deliveries, and no queue forgets before fourteen days', () => {
    for (const queue of Object.keys(functions)) {
      const { RedrivePolicy } = findResource(plain, 'AWS::SQS::Queue', new RegExp(`Tranship${queue}Queue`));
      expect(RedrivePolicy).toMatchObject({ maxReceiveCount: 10 });
    }
    plain.allResourcesProperties('AWS::SQS::Queue', { MessageRetentionPeriod: 1_209_600 });
  });

  it('one message at a time, and its failure reported by itself', () => {
    plain.resourceCountIs('AWS::Lambda::EventSourceMapping', 2);
    plain.allResourcesProperties('AWS::Lambda::EventSourceMapping', {
      BatchSize: 1,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
    });
  });

  it('every function has a log of its own that ends some time', () => {
    plain.resourceCountIs('AWS::Lambda::Function', 3);
    plain.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 90 });
    plain.allResourcesProperties('AWS::Lambda::Function', {
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      Handler: 'index.handler',
      LoggingConfig: Match.objectLike({ LogFormat: 'JSON', LogGroup: Match.anyValue() }),
    });
  });
});

describe('the table', () => {
  it('is paid by request, can be recovered, forgets what has expired and cannot be deleted by mistake', () => {
    plain.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      Properties: Match.objectLike({
        BillingMode: 'PAY_PER_REQUEST',
        DeletionProtectionEnabled: true,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
      }),
    });
  });

  it('goes with the stack where that is wanted', () => {
    synthesise({ deletionProtection: false }).hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Delete',
      Properties: Match.objectLike({ DeletionProtectionEnabled: false }),
    });
  });
});

describe('rights', () => {
  it('name their resources, every one', () => {
    for (const policy of Object.values(plain.findResources('AWS::IAM::Policy'))) {
      for (const { Resource, Action } of policy.Properties.PolicyDocument.Statement as Statement[]) {
        expect(JSON.stringify(Resource)).not.toMatch(/"\*"|\*$/);
        expect(JSON.stringify(Action)).not.toContain('*');
      }
    }
  });

  it('end at what a function does', () => {
    expect(actionsOf(statementsOf(plain, /RedriveRole/))).not.toContain('secretsmanager:GetSecretValue');
    expect(actionsOf(statementsOf(plain, /RedriveRole/))).not.toContain('dynamodb:DeleteItem');
    expect(actionsOf(statementsOf(plain, /PlannerRole/))).not.toContain('dynamodb:DeleteItem');
    expect(actionsOf(statementsOf(plain, /CopierRole/))).not.toContain('events:PutEvents');
    for (const role of [/PlannerRole/, /CopierRole/, /RedriveRole/]) {
      expect(actionsOf(statementsOf(plain, role)).filter((action) => action.startsWith('ecr:'))).toEqual([]);
    }
  });

  it('to ECR are for the repositories that rules name, to write only for the copier', () => {
    const rules = `version: 1\nrules:\n  - from: ${ecr}/source\n    to: ${ecr}/mirror/app\n`;
    const template = synthesise({ rulesFile: rulesFile(rules) });
    const resource = (name: string) => ({
      'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, `:ecr:eu-central-1:${account}:repository/${name}`]],
    });
    const allowed = (role: RegExp, action: string) =>
      statementsOf(template, role)
        .filter((one) => [one.Action].flat().includes(action))
        .map((one) => one.Resource);
    expect(allowed(/CopierRole/, 'ecr:PutImage')).toEqual([resource('mirror/app')]);
    expect(allowed(/CopierRole/, 'ecr:BatchGetImage')).toEqual([resource('source'), resource('mirror/app')]);
    expect(allowed(/CopierRole/, 'ecr:CreateRepository')).toEqual([]);
    expect(allowed(/CopierRole/, 'ecr:GetAuthorizationToken')).toEqual(['*']);
    expect(allowed(/PlannerRole/, 'ecr:ListImages')).toEqual([[resource('mirror/app'), resource('source')]]);
    expect(allowed(/PlannerRole/, 'ecr:PutImage')).toEqual([]);
    const many = `  - { from: ${ecr}/team/**, to: ${ecr}/copies/* }\n`;
    const moreRules = rulesFile(`${rules}    delete: mirror\n${many}`);
    const more = synthesise({ rulesFile: moreRules, createEcrRepositories: true, ecrEvents: true });
    expect(JSON.stringify(statementsOf(more, /CopierRole/))).toContain('repository/copies/*');
    expect(actionsOf(statementsOf(more, /PlannerRole/))).toContain('ecr:DescribeRepositories');
    expect(actionsOf(statementsOf(template, /PlannerRole/))).not.toContain('ecr:DescribeRepositories');
    more.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        detail: { 'action-type': ['PUSH', 'REPLICATE', 'DELETE'], 'repository-name': ['source', { prefix: 'team/' }] },
      },
    });
    const copierMay = actionsOf(statementsOf(more, /CopierRole/));
    expect(copierMay).toEqual(expect.arrayContaining(['ecr:CreateRepository', 'ecr:BatchDeleteImage', 'ecr:PutImage']));
    expect(actionsOf(statementsOf(template, /CopierRole/))).not.toContain('ecr:BatchDeleteImage');
    expect(actionsOf(statementsOf(more, /PlannerRole/))).not.toContain('ecr:BatchDeleteImage');
  });

  it('are for the functions of this account only: another account cannot have its schedules use the role', () => {
    const role = findResource(plain, 'AWS::IAM::Role', /SchedulesRole/);
    expect(role.AssumeRolePolicyDocument).toMatchObject({
      Statement: [
        {
          Principal: { Service: 'scheduler.amazonaws.com' },
          Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
        },
      ],
    });
  });

  it('to the ledger are for what a function keeps there', () => {
    const template = synthesise({
      webhooksFile: webhooksFile('ci: { dialect: plain, token: $CI_TOKEN, allow: [a.example] }'),
    });
    const permissions = readPermissions(resolved(template));
    const roles = template.findResources('AWS::IAM::Role');
    const may = (name: string, action: string, key: string) =>
      permissions.check({
        role: Object.keys(roles).find((id) => id.includes(`${name}Role`)) ?? '',
        action: `dynamodb:${action}`,
        resource: String(resolved(template).resolve({ 'Fn::GetAtt': [tableId(template), 'Arn'] })),
        keys: { 'dynamodb:LeadingKeys': [key] },
      });
    const isInStep = 'repo#registry.example.com/mirror/nginx';
    expect(may('Copier', 'PutItem', isInStep)).toBe(true);
    expect(may('WebhookHandler', 'PutItem', isInStep)).toBe(false);
    expect(may('WebhookHandler', 'PutItem', 'parks')).toBe(false);
    expect(may('WebhookHandler', 'PutItem', 'run#daily-2026')).toBe(false);
    expect(may('WebhookHandler', 'PutItem', 'run#push-ci-1#pages')).toBe(true);
    expect(may('WebhookHandler', 'GetItem', 'run#push-ci-1')).toBe(true);
    // What a rule with a budget has pulled, and what registries said of their quotas.
    for (const key of ['pulls', 'quotas']) {
      expect(['Planner', 'Copier', 'Redrive', 'WebhookHandler'].filter((name) => may(name, 'PutItem', key))).toEqual([
        'Copier',
      ]);
    }
    expect(may('Redrive', 'PutItem', isInStep)).toBe(false);
    expect(may('Copier', 'DeleteItem', isInStep)).toBe(false);
  });
});

function tableId(template: typeof plain): string {
  return Object.keys(template.findResources('AWS::DynamoDB::Table'))[0] ?? '';
}

describe('secrets', () => {
  it('are named in the environment, never given', () => {
    for (const { Properties } of Object.values(plain.findResources('AWS::Lambda::Function'))) {
      const { TRANSHIP_AUTH_SECRETS: named, ...variables } = Properties.Environment.Variables;
      for (const [name, value] of Object.entries(variables)) {
        expect(name).not.toMatch(/PASSWORD|TOKEN|SECRET/);
        expect(JSON.stringify(value)).not.toContain('LoginsSecret');
      }
      if (named !== undefined) expect(named).toEqual({ Ref: expect.stringMatching(/LoginsSecret/) });
    }
  });

  it('come empty: no login is part of the template', () => {
    plain.hasResourceProperties('AWS::SecretsManager::Secret', { SecretString: '{}' });
  });
});

describe('schedules', () => {
  it('start one run a day, in a time zone, and what is missed is kept', () => {
    const missed = findResource(plain, 'AWS::Scheduler::Schedule', /Rundaily/).Target as { DeadLetterConfig: unknown };
    expect(JSON.stringify(missed.DeadLetterConfig)).toContain('MissedTriggers');
    plain.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'cron(0 3 * * ? *)',
      ScheduleExpressionTimezone: 'UTC',
      FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 15 },
      Target: Match.objectLike({
        Input: JSON.stringify({ scheduledTime: '<aws.scheduler.scheduled-time>', trigger: 'daily' }),
      }),
    });
  });

  it('are as many as there are groups of rules', () => {
    const template = synthesise({
      flexibleWindowMinutes: 0,
      schedules: [
        { name: 'often', expression: 'rate(1 hour)', rules: ['nginx'] },
        { name: 'nightly', expression: 'cron(0 2 * * ? *)', timeZone: 'Europe/Berlin' },
      ],
    });
    // And the one of redrive.
    template.resourceCountIs('AWS::Scheduler::Schedule', 3);
    const often = findResource(template, 'AWS::Scheduler::Schedule', /Runoften/);
    expect(JSON.parse((often.Target as { Input: string }).Input).rules).toEqual(['nginx']);
    expect(often.FlexibleTimeWindow).toEqual({ Mode: 'OFF' });
  });
});

describe('alarms', () => {
  it('watch dead letters, age, errors, throttles and silence, each once', () => {
    const names = Object.keys(plain.findResources('AWS::CloudWatch::Alarm'))
      .map((id) => id.replace(/^TranshipAlarms|[0-9A-F]{8}$/g, ''))
      .sort();
    expect(names).toEqual([
      ...['CopierErrors', 'CopierThrottles', 'DeadLetters', 'LongTasks', 'MissedTriggers', 'NothingInStep'],
      ...['OldestTasks', 'PlannerErrors'],
    ]);
    plain.resourceCountIs('AWS::SNS::Topic', 0);
  });

  const nothingInStep = (props: Partial<TranshipProps>) =>
    Object.entries(synthesise(props).findResources('AWS::CloudWatch::Alarm'))
      .filter(([id]) => id.includes('NothingInStep'))
      .map(([, { Properties }]) => [Properties.EvaluationPeriods, Properties.Period, Properties.TreatMissingData]);
  it('on silence wait longer than the longest time between two runs', () => {
    // A day, the flexible quarter of an hour, and an hour for the run.
    expect(nothingInStep({})).toEqual([[26, 3600, 'breaching']]);
    expect(nothingInStep({ schedules: [every('rate(1 hour)'), every('rate(7 days)')] })).toEqual([
      [3, 3600, 'breaching'],
    ]);
    const berlin = every('cron(0 3 * * ? *)', 'Europe/Berlin');
    expect(nothingInStep({ schedules: [berlin], flexibleWindowMinutes: 0 })).toEqual([[26, 3600, 'breaching']]);
    expect(nothingInStep({ schedules: [every('cron(0 9-17 ? * MON-FRI *)')] })).toEqual([[66, 3600, 'breaching']]);
  });

  it('on silence are not there where no alarm can look back so far', () => {
    expect(nothingInStep({ schedules: [every('rate(7 days)')] })).toEqual([]);
    expect(nothingInStep({ schedules: [every('at(2030-01-01T00:00:00)')] })).toEqual([]);
    expect(nothingInStep({ schedules: [] })).toEqual([]);
  });

  it('on dead letters ring for new ones, not for one that stays', () => {
    expect(findResource(plain, 'AWS::CloudWatch::Alarm', /DeadLetters/)).toMatchObject({
      MetricName: 'SetAside',
      Dimensions: [{ Name: 'service', Value: 'tranship' }],
      Statistic: 'Sum',
    });
    expect(findResource(plain, 'AWS::CloudWatch::Alarm', /MissedTriggers/)).toMatchObject({
      MetricName: 'NumberOfMessagesSent',
      Statistic: 'Sum',
    });
  });

  it('mail, and so do runs in which something failed', () => {
    const template = synthesise({ email: 'ops@example.com' });
    template.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ops@example.com' });
    template.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [Match.anyValue()] });
    expect(actionsOf(statementsOf(template, /PlannerRole/))).toContain('sns:Publish');
    const { Environment } = findResource(template, 'AWS::Lambda::Function', /Planner/);
    expect(Environment).toMatchObject({ Variables: { TRANSHIP_TOPIC_ARN: expect.anything() } });
  });
});

describe('metrics', () => {
  const namespacesOf = (template: Template) => {
    const alarms = Object.values(
      template.findResources('AWS::CloudWatch::Alarm', { Properties: { MetricName: 'InStep' } }),
    );
    const functions = Object.values(template.findResources('AWS::Lambda::Function'));
    return {
      alarms: alarms.map(({ Properties }) => Properties.Namespace),
      functions: functions.flatMap(
        ({ Properties }) => Properties.Environment?.Variables.POWERTOOLS_METRICS_NAMESPACE ?? [],
      ),
    };
  };

  it('are of their stack', () => {
    const { alarms, functions } = namespacesOf(plain);
    expect(alarms).toEqual(['Tranship/Tranship']);
    expect(new Set(functions)).toEqual(new Set(alarms));
  });

  it('of two pipelines in one stack are apart, so that one cannot keep the alarm of the other quiet', () => {
    const stack = new Stack(newApp(), 'Mine');
    for (const id of ['Mirror', 'Other one']) new Tranship(stack, id, { rulesFile: rulesFile(oneRule) });
    const { alarms, functions } = namespacesOf(Template.fromStack(stack));
    expect(alarms).toEqual(['Tranship/Mine', 'Tranship/Mine/Other-one']);
    for (const namespace of alarms) expect(functions.filter((one) => one === namespace)).toHaveLength(3);
  });
});

describe('a month', () => {
  const file = webhooksFile('ci: { dialect: plain, token: $CI_TOKEN, allow: [a.example] }');
  const count = (template: Template, type: string) => Object.keys(template.findResources(type)).length;
  const metricsOf = (template: Template) =>
    Object.values(template.findResources('AWS::CloudWatch::Alarm')).flatMap(({ Properties }) =>
      Properties.Metrics === undefined ? [1] : Properties.Metrics.filter((one: object) => 'MetricStat' in one),
    ).length;
  const resting = (template: Template) => ({
    secrets: count(template, 'AWS::SecretsManager::Secret'),
    alarmMetrics: metricsOf(template),
    polledQueues: count(template, 'AWS::Lambda::EventSourceMapping'),
    dashboards: count(template, 'AWS::CloudWatch::Dashboard'),
    // InStep is all that a run writes which finds nothing to do.
    customMetrics: 1,
  });

  it('costs less than a dollar while nothing happens', () => {
    expect(sum(restingBill(resting(plain), { withFree: true }))).toBeLessThan(0.6);
    // Without what an account has for nothing, and without the dashboard, which is one of three.
    const listed = restingBill({ ...resting(plain), dashboards: 0, customMetrics: 0 }, { withFree: false });
    expect(sum(listed)).toBeLessThan(1.8);
    const withWebhooks = synthesise({ webhooksFile: file });
    expect(sum(restingBill(resting(withWebhooks), { withFree: true }))).toBeLessThan(1.3);
    expect(count(withWebhooks, 'AWS::CloudWatch::CompositeAlarm')).toBe(0);
  });

  it('has no more metrics on its dashboard than a free one may have', () => {
    const template = JSON.stringify(synthesise({ webhooksFile: file }).findResources('AWS::CloudWatch::Dashboard'));
    const series = template.match(/Tranship\/|AWS\/(?:SQS|Lambda)/g) ?? [];
    expect(series.length).toBeGreaterThan(20);
    expect(series.length).toBeLessThanOrEqual(50);
  });

  it('costs at most $0.05 for a million unchanged tags and $0.30 for a terabyte', () => {
    const memoryOf = (id: RegExp) => Number(findResource(plain, 'AWS::Lambda::Function', id).MemorySize);
    expect(workBill(unchangedMillion(memoryOf(/Planner/)))).toBeLessThanOrEqual(0.05);
    expect(workBill(movedTerabyte(memoryOf(/Copier/)))).toBeLessThanOrEqual(0.3);
  });
});

describe('options', () => {
  it("encrypts everything with the user's key", () => {
    const template = synthesise({ email: 'a@example.com' }, (scope) => ({ encryptionKey: new Key(scope, 'Key') }));
    template.allResourcesProperties('AWS::SQS::Queue', { KmsMasterKeyId: Match.anyValue() });
    template.allResourcesProperties('AWS::Logs::LogGroup', { KmsKeyId: Match.anyValue() });
    template.hasResourceProperties('AWS::DynamoDB::Table', { SSESpecification: { SSEEnabled: true, SSEType: 'KMS' } });
    template.hasResourceProperties('AWS::SecretsManager::Secret', { KmsKeyId: Match.anyValue() });
    template.hasResourceProperties('AWS::SNS::Topic', { KmsMasterKeyId: Match.anyValue() });
    for (const role of [/PlannerRole/, /CopierRole/, /RedriveRole/, /SchedulesRole/]) {
      expect(actionsOf(statementsOf(template, role))).toContain('kms:Decrypt');
    }
  });

  it('lets the services use that key that write to what it encrypts', () => {
    const stack = new Stack(newApp(), 'Stack');
    const encryptionKey = new Key(stack, 'Key');
    const rules = `version: 1\nrules:\n  - { from: ${ecr}/app, to: registry.example.com/app }\n`;
    new Tranship(stack, 'Tranship', {
      rulesFile: rulesFile(rules),
      ecrEvents: true,
      email: 'a@example.com',
      encryptionKey,
    });
    const { KeyPolicy } = findResource(Template.fromStack(stack), 'AWS::KMS::Key', /Key/);
    const principals = (KeyPolicy as unknown as { Statement: { Principal: { Service?: unknown } }[] }).Statement;
    expect(principals.flatMap(({ Principal }) => Principal.Service ?? [])).toEqual(
      expect.arrayContaining([
        'cloudwatch.amazonaws.com',
        // Events that it cannot deliver go to a queue.
        'events.amazonaws.com',
        // In China it ends in amazonaws.com.cn.
        { 'Fn::Join': ['', ['logs.', { Ref: 'AWS::Region' }, '.', { Ref: 'AWS::URLSuffix' }]] },
      ]),
    );
  });

  it('may use the keys of secrets and of a topic that have their own', () => {
    const template = synthesise({}, (scope) => ({
      loginSecrets: [new Secret(scope, 'Secret', { encryptionKey: new Key(scope, 'SecretKey') })],
      topic: new Topic(scope, 'Topic', { masterKey: new Key(scope, 'TopicKey') }),
    }));
    const may = (role: RegExp) =>
      statementsOf(template, role)
        .filter(({ Action }) => [Action].flat().includes('kms:Decrypt'))
        .map(({ Resource }) => /SecretKey|TopicKey/.exec(JSON.stringify(Resource))?.[0]);
    expect(may(/CopierRole/)).toEqual(['SecretKey']);
    expect(may(/PlannerRole/)).toEqual(['TopicKey', 'SecretKey']);
    expect(may(/RedriveRole/)).toEqual([]);
  });

  it('runs in a VPC', () => {
    const subnets = ['subnet-0123456789abcdef0'];
    const template = synthesise({}, (scope) => ({
      vpc: Vpc.fromVpcAttributes(scope, 'Vpc', {
        vpcId: 'vpc-0123456789abcdef0',
        availabilityZones: ['eu-central-1a'],
        privateSubnetIds: subnets,
      }),
    }));
    template.allResourcesProperties('AWS::Lambda::Function', { VpcConfig: Match.objectLike({ SubnetIds: subnets }) });
  });

  it.each([
    [{ copierConcurrency: 1 }, 'copierConcurrency must be a whole number from 2 to 1000, got 1'],
    [{ copierTimeoutMinutes: 16 }, 'copierTimeoutMinutes must be a whole number from 2 to 15, got 16'],
    [{ attempts: 1.5 }, 'attempts must be a whole number from 1 to 20, got 1.5'],
    [{ backoffSeconds: Number.NaN }, 'backoffSeconds must be a whole number from 1 to 900'],
    [{ schedules: [{ name: 'a b', expression: 'rate(1 day)' }] }, 'got "a b"'],
    [{ schedules: [{ name: 'a', expression: 'rate(1 day)', rules: ['ngnix'] }] }, 'has no rule ngnix'],
    [{ schedules: [{ ...every('rate(1 day)'), timeZone: 'Europe/Berln' }] }, 'there is no time zone "Europe/Berln"'],
    [{ schedules: [every('0 3 * * *')] }, 'has the five fields of cron'],
    [{ email: 'ops' }, 'email must be one address, got "ops"'],
    [{ email: 'a@example.com,b@example.com' }, 'email must be one address'],
    [{ logRetention: Number(100) }, "logRetention must be one of CloudWatch's periods in days, got 100"],
    [{ allowedRealms: ['https://auth.example.com/token'] }, 'allowedRealms: "https://auth.example.com/token" is not'],
  ] satisfies Array<[Partial<TranshipProps>, string]>)('refuses %j', (props, message) => {
    expect(() => synthesise(props)).toThrow(
      expect.objectContaining({ code: 'config-invalid', message: expect.stringContaining(message) }),
    );
  });

  it('refuses what only a construct can be wrong about', () => {
    const both = () => synthesise({ email: 'ops@example.com' }, (scope) => ({ topic: new Topic(scope, 'Topic') }));
    expect(both).toThrow('email and a topic of yours do not go together');
    const domain = (name: string) => () =>
      synthesise({ webhooksFile: webhooksFile('ci: { dialect: plain, token: $T, allow: [a.example] }') }, (scope) => ({
        webhookDomain: { name, certificate: Certificate.fromCertificateArn(scope, 'Certificate', 'arn:aws:acm:::') },
      }));
    for (const name of ['https://hooks.example.com/', 'hooks.example.com:443', 'hooks', '*.example.com']) {
      expect(domain(name)).toThrow('is not the name of a host');
    }
  });

  it('leaves to AWS what only AWS can tell', () => {
    const template = synthesise({}, (scope) => ({ email: new CfnParameter(scope, 'Address').valueAsString }));
    template.resourceCountIs('AWS::SNS::Subscription', 1);
  });
});

describe('the rules file', () => {
  it('stops the synthesis where it is wrong, with the place', () => {
    const file = rulesFile(oneRule.replace('from:', 'form:'));
    expect(() => synthesise({ rulesFile: file })).toThrow(`${file}:4:5`);
    expect(() => synthesise({ rulesFile: 'no/such/file.yaml' })).toThrow('no/such/file.yaml: cannot be read');
  });
});
