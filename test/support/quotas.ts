import type { Template as CdkTemplate } from 'aws-cdk-lib/assertions';
import { resolved } from './aws-host/resolved.ts';
import type { Found } from './aws-host/template.ts';

/**
 * What CloudFormation and the services would refuse at the deployment of a template, and `cdk synth` does not see.
 *
 * - CloudFormation: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
 * - IAM: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
 * - EventBridge: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
 * - Lambda: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 *
 * @returns what is over a quota
 */
export function overQuota(cdkTemplate: CdkTemplate): string[] {
  const over: string[] = [];
  const hold = (what: string, actual: number, most: number) => {
    if (actual > most) over.push(`${what}: ${actual}, at most ${most}`);
  };
  const json = cdkTemplate.toJSON();
  const template = resolved(cdkTemplate);
  const nameOf = ({ id }: Found) => String(template.resolve({ Ref: id }));

  hold('template, bytes', Buffer.byteLength(JSON.stringify(json)), 1024 * 1024);
  hold('resources', Object.keys(json.Resources).length, 500);
  hold('parameters', Object.keys(json.Parameters ?? {}).length, 200);
  hold('outputs', Object.keys(json.Outputs ?? {}).length, 200);
  for (const [name, { Value }] of Object.entries<{ Value: unknown }>(json.Outputs ?? {})) {
    hold(`name of output ${name}`, name.length, 255);
    hold(`value of output ${name}`, String(template.resolve(Value)).length, 1024);
  }
  for (const id of Object.keys(json.Resources)) hold(`logical id ${id}`, id.length, 255);

  const inline = new Map<string, number>();
  const managed = new Map<string, number>();
  for (const { properties } of template.ofType('AWS::IAM::Policy')) {
    for (const role of properties.Roles as string[]) {
      inline.set(role, (inline.get(role) ?? 0) + characters(properties.PolicyDocument));
    }
  }
  for (const { id, properties } of template.ofType('AWS::IAM::ManagedPolicy')) {
    hold(`managed policy ${id}`, characters(properties.PolicyDocument), 6_144);
    for (const role of properties.Roles as string[]) managed.set(role, (managed.get(role) ?? 0) + 1);
  }
  for (const role of template.ofType('AWS::IAM::Role')) {
    const attached = (role.properties.ManagedPolicyArns as unknown[] | undefined)?.length ?? 0;
    hold(`inline policies of ${role.id}`, inline.get(nameOf(role)) ?? 0, 10_240);
    hold(`managed policies of ${role.id}`, (managed.get(nameOf(role)) ?? 0) + attached, 10);
    hold(`trust policy of ${role.id}`, characters(role.properties.AssumeRolePolicyDocument), 2_048);
  }

  const rules = template.ofType('AWS::Events::Rule');
  hold('rules of the event bus', rules.length, 300);
  for (const { id, properties } of rules) {
    hold(`event pattern of ${id}`, characters(properties.EventPattern), 2_048);
    hold(`targets of ${id}`, (properties.Targets as unknown[]).length, 5);
  }
  for (const [type, most] of [
    ['AWS::SQS::QueuePolicy', 8_192],
    ['AWS::SNS::TopicPolicy', 30_720],
  ] as const) {
    for (const { id, properties } of template.ofType(type)) hold(id, characters(properties.PolicyDocument), most);
  }
  for (const { id, properties } of template.ofType('AWS::Lambda::Function')) {
    const { Variables = {} } = (properties.Environment ?? {}) as { Variables?: Record<string, string> };
    const bytes = Object.entries(Variables).reduce((sum, [name, value]) => sum + name.length + String(value).length, 0);
    hold(`environment of ${id}`, bytes, 4_096);
    hold(`description of ${id}`, String(properties.Description ?? '').length, 256);
    const allowed = template
      .ofType('AWS::Lambda::Permission')
      .filter(({ properties: { FunctionName } }) => String(FunctionName).includes(nameOf({ id } as Found)));
    // A statement of a function's policy has an id, principal and resource around what the template says.
    const policy = allowed.reduce((sum, permission) => sum + characters(permission.properties) + 150, 0);
    hold(`policy of ${id}`, policy, 20_480);
  }
  for (const { id, properties } of template.ofType('AWS::SecretsManager::Secret')) {
    hold(`description of ${id}`, String(properties.Description ?? '').length, 2_048);
  }
  for (const { id, properties } of template.ofType('AWS::CloudWatch::Alarm')) {
    hold(`description of ${id}`, String(properties.AlarmDescription ?? '').length, 1_024);
  }
  for (const { id, properties } of template.ofType('AWS::Scheduler::Schedule')) {
    hold(`description of ${id}`, String(properties.Description ?? '').length, 512);
    hold(`input of ${id}`, JSON.stringify(properties.Target).length, 256 * 1024);
  }
  for (const { id, properties } of template.ofType('AWS::CloudWatch::Dashboard')) {
    const { widgets } = JSON.parse(String(properties.DashboardBody));
    hold(`metrics of ${id}`, JSON.stringify(widgets).split('"metrics"').length, 2_500);
  }
  return over;
}

/** Of a document as AWS counts them: without blanks. */
function characters(document: unknown): number {
  return JSON.stringify(document ?? '').length;
}
