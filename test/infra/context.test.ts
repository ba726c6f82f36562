import { describe, expect, it } from 'vitest';
import type { Repository } from '../../core/model/reference.ts';
import { propsFromContext } from '../../infra/context.ts';
import { deployArguments, rulesOf } from '../../smoke/account.ts';
import { newApp, rulesFile, synthesise } from '../support/synth.ts';

const read = (context: Record<string, unknown>) => propsFromContext(newApp(context));

describe('settings as context', () => {
  it('come as text from the command line, as values from cdk.json', () => {
    const schedules = [{ name: 'hourly', expression: 'rate(1 hour)', rules: ['a'] }];
    const expected = {
      rulesFile: 'r.yaml',
      copierMemoryMb: 512,
      deletionProtection: false,
      allowedRealms: ['auth.example.com', 'cdn.example.com'],
      schedules,
    };
    const asText = {
      'tranship:rules': 'r.yaml',
      'tranship:copierMemoryMb': '512',
      'tranship:deletionProtection': 'false',
      'tranship:allowedRealms': 'auth.example.com, cdn.example.com',
      'tranship:schedules': JSON.stringify(schedules),
    };
    expect(read(asText).props).toEqual(expected);
    const asValues = {
      ...asText,
      'tranship:copierMemoryMb': 512,
      'tranship:deletionProtection': false,
      'tranship:allowedRealms': expected.allowedRealms,
      'tranship:schedules': schedules,
    };
    expect(read(asValues).props).toEqual(expected);
  });

  it('of the test in an account make a small stack that leaves nothing behind', () => {
    const [from, to] = ['source', 'destination'].map((repository) => ({
      registry: '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
      repository,
    })) as [Repository, Repository];
    const args = deployArguments('Smoke', rulesFile(rulesOf(from, to)), 'out');
    const context = args.flatMap((arg, n) => (args[n - 1] === '-c' ? [arg.split(/=(.*)/s).slice(0, 2)] : []));
    const { props } = propsFromContext(newApp(Object.fromEntries(context)));
    const template = synthesise(props);
    template.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(1 minute)' });
    template.resourceCountIs('AWS::Events::Rule', 1);
    template.hasResource('AWS::DynamoDB::Table', { DeletionPolicy: 'Delete' });
  });

  it('name what is there already by ARN', () => {
    expect(read({ 'tranship:topicArn': 'arn:aws:sns:eu-central-1:123456789012:ops' }).parts).toEqual({
      topicArn: 'arn:aws:sns:eu-central-1:123456789012:ops',
    });
    const domain = {
      webhookDomain: 'hooks.example.com',
      webhookCertificateArn: 'arn:aws:acm:eu-central-1:1:certificate/1',
    };
    const { webhookDomain, webhookCertificateArn } = domain;
    const given = { 'tranship:webhookDomain': webhookDomain, 'tranship:webhookCertificateArn': webhookCertificateArn };
    expect(read(given).parts).toEqual(domain);
  });

  it.each([
    [{ 'tranship:copierMemory': '512' }, 'there is no setting tranship:copierMemory'],
    [{ 'tranship:constructor': '1' }, 'there is no setting tranship:constructor'],
    [{ 'tranship:deletionProtection': 'no' }, 'tranship:deletionProtection must be true or false, got "no"'],
    [{ 'tranship:webhookDomain': 'hooks.example.com' }, 'webhookCertificateArn go together'],
    [{ 'tranship:schedules': 'daily' }, 'tranship:schedules must be a list'],
    [{ 'tranship:schedules': [{ name: 'a' }] }, 'tranship:schedules must be a list'],
  ])('refuses %j', (context, message) => {
    expect(() => read(context)).toThrow(message);
  });
});
