import { type ConditionKeys, conditionsHold, matches, type Statement, statementsOf } from './policy.ts';
import { account, type Resolved } from './template.ts';

/**
 * What services and the public may do by a resource's own policy: functions' permissions, policies of queues and
 * topics.
 */
export interface ResourcePolicies {
  /** A service may invoke the function on behalf of the source. */
  mayInvoke(functionArn: string, service: string, sourceArn: string): boolean;
  /** Anybody may call the function's URL without a signature. */
  mayCallUrl(functionArn: string): boolean;
  maySend(queueArn: string, service: string, sourceArn: string): boolean;
  mayPublish(topicArn: string, service: string, sourceArn: string, sourceAccount?: string): boolean;
}

export function readResourcePolicies(template: Resolved): ResourcePolicies {
  const permissions = template.ofType('AWS::Lambda::Permission').map(({ properties }) => properties);
  const statements = template
    .ofType('AWS::SQS::QueuePolicy', 'AWS::SNS::TopicPolicy')
    .flatMap(({ properties }) => statementsOf(properties.PolicyDocument));

  function allows(service: string, action: string, resource: string, keys: ConditionKeys): boolean {
    const fitting = statements.filter(
      ({ Principal, Action, Resource, Condition }) =>
        isFor(Principal, service) &&
        [Action].flat().some((pattern) => matches(pattern.toLowerCase(), action.toLowerCase())) &&
        [Resource].flat().some((pattern) => matches(pattern, resource)) &&
        conditionsHold(Condition, { 'aws:SecureTransport': 'true', ...keys }),
    );
    return fitting.some(({ Effect }) => Effect === 'Allow') && fitting.every(({ Effect }) => Effect === 'Allow');
  }

  return {
    mayInvoke: (functionArn, service, sourceArn) =>
      permissions.some(
        ({ Action, FunctionName, Principal, SourceArn }) =>
          Action === 'lambda:InvokeFunction' &&
          FunctionName === functionArn &&
          Principal === service &&
          SourceArn === sourceArn,
      ),
    // Both since October 2025: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    mayCallUrl: (functionArn) =>
      ['lambda:InvokeFunctionUrl', 'lambda:InvokeFunction'].every((action) =>
        permissions.some(
          ({ Action, FunctionName, Principal }) =>
            Action === action && FunctionName === functionArn && Principal === '*',
        ),
      ),
    maySend: (queueArn, service, sourceArn) =>
      allows(service, 'sqs:SendMessage', queueArn, { 'aws:SourceArn': sourceArn, 'aws:SourceAccount': account }),
    mayPublish: (topicArn, service, sourceArn, sourceAccount = account) =>
      allows(service, 'sns:Publish', topicArn, { 'aws:SourceArn': sourceArn, 'aws:SourceAccount': sourceAccount }),
  };
}

function isFor(principal: Statement['Principal'], service: string): boolean {
  if (typeof principal !== 'object') return principal === '*';
  return principal.AWS === '*' || [principal.Service ?? []].flat().includes(service);
}
