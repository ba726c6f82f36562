import type { Resolved } from './template.ts';

/** What services and the public may do by a resource's own policy: functions' permissions and queues' policies. */
export interface ResourcePolicies {
  /** A service may invoke the function on behalf of the source. */
  mayInvoke(functionArn: string, service: string, sourceArn: string): boolean;
  /** Anybody may call the function's URL without a signature. */
  mayCallUrl(functionArn: string): boolean;
  maySend(queueArn: string, service: string, sourceArn: string): boolean;
}

interface Statement {
  Effect: string;
  Action: string | string[];
  Principal: { Service?: string };
  Resource: string;
  Condition?: { ArnEquals?: Record<string, string> };
}

export function readResourcePolicies(template: Resolved): ResourcePolicies {
  const permissions = template.ofType('AWS::Lambda::Permission').map(({ properties }) => properties);
  const statements = template
    .ofType('AWS::SQS::QueuePolicy')
    .flatMap(({ properties }) => (properties.PolicyDocument as { Statement: Statement[] }).Statement);
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
      statements.some(
        ({ Effect, Action, Principal, Resource, Condition }) =>
          Effect === 'Allow' &&
          [Action].flat().includes('sqs:SendMessage') &&
          Principal.Service === service &&
          Resource === queueArn &&
          Condition?.ArnEquals?.['aws:SourceArn'] === sourceArn,
      ),
  };
}
