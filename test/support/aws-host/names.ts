import { account, type Resolved, type Resource, region, stackName } from './template.ts';

/** Physical names and ARNs of resources: what Ref and GetAtt give (CloudFormation's template reference, by type). */

/** The property that names a resource, where its type has one. */
const nameProperties: Record<string, string> = {
  'AWS::SQS::Queue': 'QueueName',
  'AWS::DynamoDB::Table': 'TableName',
  'AWS::DynamoDB::GlobalTable': 'TableName',
  'AWS::SecretsManager::Secret': 'Name',
  'AWS::Lambda::Function': 'FunctionName',
  'AWS::IAM::Role': 'RoleName',
  'AWS::SNS::Topic': 'TopicName',
  'AWS::Events::EventBus': 'Name',
  'AWS::Events::Rule': 'Name',
  'AWS::Logs::LogGroup': 'LogGroupName',
  'AWS::Scheduler::ScheduleGroup': 'Name',
  'AWS::Scheduler::Schedule': 'Name',
  'AWS::CloudWatch::Alarm': 'AlarmName',
};

const arns: Record<string, (name: string) => string> = {
  'AWS::SQS::Queue': (name) => arn('sqs', name),
  'AWS::DynamoDB::Table': (name) => arn('dynamodb', `table/${name}`),
  'AWS::DynamoDB::GlobalTable': (name) => arn('dynamodb', `table/${name}`),
  // Six characters of Secrets Manager's own follow the name.
  'AWS::SecretsManager::Secret': (name) => arn('secretsmanager', `secret:${name}-AbCdEf`),
  'AWS::Lambda::Function': (name) => arn('lambda', `function:${name}`),
  'AWS::IAM::Role': (name) => `arn:aws:iam::${account}:role/${name}`,
  'AWS::SNS::Topic': (name) => arn('sns', name),
  'AWS::Events::EventBus': (name) => arn('events', `event-bus/${name}`),
  'AWS::Events::Rule': (name) => arn('events', `rule/${name}`),
  'AWS::Logs::LogGroup': (name) => `${arn('logs', `log-group:${name}`)}:*`,
  'AWS::Scheduler::ScheduleGroup': (name) => arn('scheduler', `schedule-group/${name}`),
  'AWS::Scheduler::Schedule': (name) => arn('scheduler', `schedule/default/${name}`),
  'AWS::CloudWatch::Alarm': (name) => arn('cloudwatch', `alarm:${name}`),
  'AWS::KMS::Key': (name) => arn('kms', `key/${name}`),
};

/** Types whose Ref is the ARN. */
const refIsArn = new Set(['AWS::SecretsManager::Secret', 'AWS::SNS::Topic']);

export function arn(service: string, resource: string): string {
  return `arn:aws:${service}:${region}:${account}:${resource}`;
}

export function physicalName(id: string, resource: Resource, template: Resolved): string {
  const property = nameProperties[resource.Type];
  const given = property === undefined ? undefined : resource.Properties?.[property];
  return given === undefined ? `${stackName}-${id}` : String(template.resolve(given));
}

export function arnOf(type: string, name: string): string {
  const make = arns[type];
  if (make === undefined) throw new Error(`the host does not know the ARN of a ${type}`);
  return make(name);
}

/**
 * What Ref or GetAtt gives.
 * @param endpoint of the host's AWS APIs: queues have URLs there
 */
export function attributeOf(
  endpoint: string,
  {
    id,
    resource,
    attribute,
    template,
  }: { id: string; resource: Resource; attribute: string | undefined; template: Resolved },
): unknown {
  const { Type: type } = resource;
  const name = physicalName(id, resource, template);
  const url = `${endpoint}/${account}/${name}`;
  if (attribute === undefined) {
    if (type === 'AWS::SQS::Queue') return url;
    return refIsArn.has(type) ? arnOf(type, name) : name;
  }
  if (attribute === 'QueueUrl') return url;
  if (attribute === 'Arn' || attribute === 'TopicArn' || attribute === 'Id') return arnOf(type, name);
  if (attribute === 'QueueName' || attribute === 'TopicName' || attribute === 'Name') return name;
  throw new Error(`the host does not know the attribute ${attribute} of a ${type}`);
}
