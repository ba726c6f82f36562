import { Validations } from 'aws-cdk-lib';
import { Match } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { TranshipStack } from '../../infra/tranship-stack.ts';
import { newApp, oneRule, rulesFile, synthesise } from '../support/synth.ts';

const ecrRule = `version: 1
rules:
  - from: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app
    to: registry.example.com/mirror/app
`;

describe('webhooks', () => {
  it('are not there unless they are asked for', () => {
    synthesise().resourceCountIs('AWS::Lambda::Url', 0);
  });

  it('are a URL whose function cannot take the share of the copiers', () => {
    const template = synthesise({ webhooks: true, webhookConcurrency: 7 });
    template.hasResourceProperties('AWS::Lambda::Url', { AuthType: 'NONE' });
    template.hasResourceProperties('AWS::Lambda::Function', {
      ReservedConcurrentExecutions: 7,
      Timeout: 10,
      Environment: { Variables: Match.objectLike({ TRANSHIP_WEBHOOK_SECRET: Match.anyValue() }) },
    });
    template.hasOutput('WebhookUrl', {});
    template.resourceCountIs('AWS::Events::Rule', 0);
  });

  it('are told of pushes to the ECR repositories that rules copy from, and of no other', () => {
    const template = synthesise({ webhooks: true, rulesFile: rulesFile(ecrRule) });
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.ecr'],
        'detail-type': ['ECR Image Action'],
        detail: { 'action-type': ['PUSH'], result: ['SUCCESS'], 'repository-name': ['team/app'] },
      },
      Targets: [Match.objectLike({ DeadLetterConfig: Match.anyValue() })],
    });
  });

  it('keep no sender and no secret in the template', () => {
    const template = synthesise({ webhooks: true });
    const secrets = Object.values(template.findResources('AWS::SecretsManager::Secret'));
    expect(secrets.map(({ Properties }) => Properties.SecretString)).toEqual(['{}', '{}']);
  });

  it('have alarms on refused senders and on floods of events', () => {
    const template = synthesise({ webhooks: true });
    for (const MetricName of ['Refused', 'Unmatched']) {
      template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName });
    }
  });

  it('leave nothing for cdk-nag to say', () => {
    for (const text of [oneRule, ecrRule]) {
      const app = newApp();
      Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
      new TranshipStack(app, 'Tranship', { rulesFile: rulesFile(text), webhooks: true });
      expect(() => app.synth()).not.toThrow();
    }
  });
});
