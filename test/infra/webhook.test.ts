import { Stack, Validations } from 'aws-cdk-lib';
import { Annotations, Match, type Template } from 'aws-cdk-lib/assertions';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { TranshipStack } from '../../infra/tranship-stack.ts';
import { newApp, oneRule, rulesFile, synthesise, webhooksFile } from '../support/synth.ts';

const ecrRule = `version: 1
rules:
  - from: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app
    to: registry.example.com/mirror/app
`;
const senders = `hub: { dialect: docker-hub, token: $HUB_TOKEN }
git-hub: { dialect: ghcr, hmac: ["\${NEW_SECRET}", "\${OLD_SECRET}"], allow: [ghcr.io/acme] }
`;
const file = webhooksFile(senders);

function outputs(template: Template): Record<string, unknown> {
  return Object.fromEntries(Object.entries(template.findOutputs('*')).map(([name, { Value }]) => [name, Value]));
}

describe('webhooks', () => {
  it('are not there unless they are asked for', () => {
    const template = synthesise();
    template.resourceCountIs('AWS::Lambda::Url', 0);
    template.resourceCountIs('AWS::Lambda::EventSourceMapping', 2);
  });

  it('are a URL whose function cannot take the share of the copiers', () => {
    const template = synthesise({ webhooksFile: file, webhookConcurrency: 7 });
    template.hasResourceProperties('AWS::Lambda::Url', { AuthType: 'NONE' });
    template.hasResourceProperties('AWS::Lambda::Function', {
      ReservedConcurrentExecutions: 7,
      Timeout: 10,
      Environment: { Variables: Match.objectLike({ TRANSHIP_WEBHOOK_SECRET: Match.anyValue() }) },
    });
    template.resourceCountIs('AWS::Events::Rule', 0);
  });

  it('take no share of the account, unless they are to', () => {
    const functions = Object.values(synthesise({ webhooksFile: file }).findResources('AWS::Lambda::Function'));
    expect(functions.filter(({ Properties }) => 'ReservedConcurrentExecutions' in Properties)).toEqual([]);
  });

  it("tell each sender's URL, without its token", () => {
    const told = outputs(synthesise({ webhooksFile: file }));
    const url = told.WebhookUrl;
    expect(told.WebhookUrlHub).toEqual({ 'Fn::Join': ['', [url, 'hooks/hub/<token>']] });
    expect(told.WebhookUrlGitHub).toEqual({ 'Fn::Join': ['', [url, 'hooks/git-hub']] });
  });

  it('have copiers of their own for pushed tags, and dead letters in common', () => {
    const template = synthesise({ webhooksFile: file, pushedCopierConcurrency: 9 });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      ScalingConfig: { MaximumConcurrency: 9 },
      EventSourceArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('PushedTasks'), 'Arn'] },
    });
    const queues = Object.keys(template.findResources('AWS::SQS::Queue'));
    expect(queues.filter((id) => /PushedTasks/.test(id))).toHaveLength(1);
  });

  it('keep no secret in the template, and say what the secret must hold', () => {
    const template = synthesise({ webhooksFile: file });
    const secrets = Object.values(template.findResources('AWS::SecretsManager::Secret'));
    expect(secrets.map(({ Properties }) => Properties.SecretString)).toEqual(['{}', '{}']);
    expect(outputs(template).WebhookVariables).toBe('HUB_TOKEN NEW_SECRET OLD_SECRET');
  });

  it('leave the secrets as they are, whatever the files and settings say', () => {
    const secrets = (text: string, more = {}) =>
      synthesise({ webhooksFile: webhooksFile(text), ...more }).findResources('AWS::SecretsManager::Secret');
    const others = `${senders}ci: { dialect: plain, token: $CI_TOKEN, allow: [a.example] }`;
    expect(secrets(others, { rulesFile: rulesFile(ecrRule), email: 'a@example.com' })).toEqual(secrets(senders));
    // CloudFormation makes a new version of the value where `SecretString` is not what it was in the last template, and
    // another logical id is another secret. So none of this may change from one version of Tranship to the next.
    const values = Object.entries(secrets(senders)).map(([id, { Properties }]) => [id, Properties.SecretString]);
    expect(values).toEqual([
      ['TranshipLoginsSecretDB03E97B', '{}'],
      ['TranshipWebhookSecret252C09C8', '{}'],
    ]);
  });

  it.each([
    ['hub: { dialect: docker-hub, token: u8Qd0yq3bX7nT1cVfK2mZw }', 'secrets are written in it: hub'],
    ['hub: { dialect: plain, allow: [a.example], header: { X-Key: "key $HALF" } }', 'secrets are written in it: hub'],
    ['hub: { dialect: nothing }', 'dialect is unknown'],
    ['hub: [', 'webhooks.yaml'],
  ])('refuse the file %s', (text, message) => {
    const make = () => synthesise({ webhooksFile: webhooksFile(text) });
    expect(make).toThrow(message);
    expect(make).not.toThrow('u8Qd0yq3bX7nT1cVfK2mZw');
  });

  it('refuse a file that is not there', () => {
    expect(() => synthesise({ webhooksFile: 'elsewhere/webhooks.yaml' })).toThrow(
      /elsewhere\/webhooks.yaml: cannot be read/,
    );
  });

  it('have an alarm on refused senders', () => {
    const template = synthesise({ webhooksFile: file });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'Refused' });
  });

  it('leave nothing for cdk-nag to say', () => {
    for (const text of [oneRule, ecrRule]) {
      const app = newApp();
      Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
      const own = new Stack(app, 'Own');
      const certificate = Certificate.fromCertificateArn(
        own,
        'Certificate',
        'arn:aws:acm:eu-central-1:1:certificate/1',
      );
      const webhookDomain = { name: 'hooks.example.com', certificate };
      const common = { rulesFile: rulesFile(text), webhooksFile: file, ecrEvents: true };
      new TranshipStack(app, 'Plain', common);
      new TranshipStack(app, 'Domain', { ...common, webhookDomain });
      expect(() => app.synth()).not.toThrow();
    }
  });
});

describe('a domain for webhooks', () => {
  const withDomain = (more: { zone?: boolean } = {}) =>
    synthesise({ webhooksFile: file, webhookConcurrency: 10 }, (scope) => {
      const certificate = Certificate.fromCertificateArn(scope, 'C', 'arn:aws:acm:eu-central-1:1:certificate/1');
      const zone = { hostedZoneId: 'Z1', zoneName: 'example.com' };
      const hostedZone = HostedZone.fromHostedZoneAttributes(scope, 'Z', zone);
      return { webhookDomain: { name: 'hooks.example.com', certificate, ...(more.zone && { hostedZone }) } };
    });

  it('takes the place of the URL, and passes on what is for senders', () => {
    const template = withDomain();
    template.resourceCountIs('AWS::Lambda::Url', 0);
    template.hasResourceProperties('AWS::ApiGatewayV2::Api', { DisableExecuteApiEndpoint: true });
    template.hasResourceProperties('AWS::ApiGatewayV2::DomainName', { DomainName: 'hooks.example.com' });
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: 'POST /hooks/{proxy+}' });
    template.hasResourceProperties('AWS::ApiGatewayV2::Integration', { PayloadFormatVersion: '2.0' });
    template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      DefaultRouteSettings: { ThrottlingRateLimit: 200, ThrottlingBurstLimit: 400 },
    });
    const told = outputs(template);
    expect(told).toMatchObject({
      WebhookUrl: 'https://hooks.example.com/',
      WebhookUrlHub: 'https://hooks.example.com/hooks/hub/<token>',
    });
    expect(told.WebhookDomainTarget).toEqual({ 'Fn::GetAtt': [expect.any(String), 'RegionalDomainName'] });
  });

  it('logs no path, which holds the token', () => {
    const [stage] = Object.values(withDomain().findResources('AWS::ApiGatewayV2::Stage'));
    const format = String(stage?.Properties.AccessLogSettings.Format);
    expect(format).toContain('$context.status');
    expect(format).not.toMatch(/path/i);
  });

  it('gets a record where its zone is given', () => {
    withDomain().resourceCountIs('AWS::Route53::RecordSet', 0);
    withDomain({ zone: true }).hasResourceProperties('AWS::Route53::RecordSet', {
      Name: 'hooks.example.com.',
      Type: 'A',
    });
  });

  it('is nothing without senders', () => {
    const app = newApp();
    const certificate = Certificate.fromCertificateArn(
      new Stack(app, 'Own'),
      'C',
      'arn:aws:acm:eu-central-1:1:certificate/1',
    );
    const webhookDomain = { name: 'hooks.example.com', certificate };
    expect(() => new TranshipStack(app, 'T', { rulesFile: rulesFile(oneRule), webhookDomain })).toThrow(
      'there is no webhooks file',
    );
  });
});

describe("ECR's events", () => {
  it('are told of repositories that rules copy from, and of no other, without a URL', () => {
    const template = synthesise({ ecrEvents: true, rulesFile: rulesFile(ecrRule) });
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.ecr'],
        'detail-type': ['ECR Image Action', 'ECR Replication Action'],
        detail: { 'action-type': ['PUSH', 'REPLICATE'], result: ['SUCCESS'], 'repository-name': ['team/app'] },
      },
      Targets: [Match.objectLike({ DeadLetterConfig: Match.anyValue() })],
    });
    template.resourceCountIs('AWS::Lambda::Url', 0);
    template.resourceCountIs('AWS::SecretsManager::Secret', 1);
  });

  it('that can be of no use are warned of', () => {
    const stack = new TranshipStack(newApp(), 'T', { rulesFile: rulesFile(oneRule), ecrEvents: true });
    Annotations.fromStack(stack).hasWarning('*', Match.stringLikeRegexp('no rule copies from a private ECR registry'));
  });
});

describe('schedules in a rules file', () => {
  const scheduled = rulesFile('version: 1\nrules:\n  - { from: nginx, to: a.example/nginx, schedule: "0 3 * * *" }\n');
  const warning = Match.stringLikeRegexp('is for tranship serve');

  it('are warned of where the stack has no schedule of its own', () => {
    const stack = new TranshipStack(newApp(), 'T', { rulesFile: scheduled });
    Annotations.fromStack(stack).hasWarning('*', warning);
    const schedules = [{ name: 'hourly', expression: 'rate(1 hour)' }];
    const own = new TranshipStack(newApp(), 'T', { rulesFile: scheduled, schedules });
    Annotations.fromStack(own).hasNoWarning('*', warning);
  });
});
