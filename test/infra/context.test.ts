import { Stack } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import type { Repository } from '../../core/model/reference.ts';
import { propsFromContext, stackName, warnOfExample } from '../../infra/context.ts';
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
      webhookCertificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/1',
    };
    const { webhookDomain, webhookCertificateArn } = domain;
    const given = { 'tranship:webhookDomain': webhookDomain, 'tranship:webhookCertificateArn': webhookCertificateArn };
    expect(read(given).parts).toEqual(domain);
  });

  const arn = 'arn:aws:kms:eu-central-1:123456789012:alias/mine';
  const schedule = (fields: object) => ({
    'tranship:schedules': [{ name: 'a', expression: 'rate(1 day)', ...fields }],
  });

  it.each([
    [{ 'tranship:copierMemory': '512' }, 'there is no setting tranship:copierMemory'],
    [{ 'tranship:constructor': '1' }, 'there is no setting tranship:constructor'],
    [{ 'tranship:deletionProtection': 'no' }, 'tranship:deletionProtection must be true or false, got "no"'],
    [{ 'tranship:attempts': 'five' }, 'tranship:attempts must be a number, got "five"'],
    [{ 'tranship:webhookDomain': 'hooks.example.com' }, 'webhookCertificateArn go together'],
    [{ 'tranship:kmsKeyArn': arn }, 'tranship:kmsKeyArn must be the ARN of a key, not of an alias'],
    [{ 'tranship:topicArn': 'ops' }, 'tranship:topicArn must be the ARN of a standard topic'],
    [{ 'tranship:schedules': 'daily' }, 'tranship:schedules must be a list'],
    [{ 'tranship:schedules': [{ name: 'a' }] }, 'tranship:schedules[0] has no "expression"'],
    [schedule({ timezone: 'Europe/Berlin' }), 'tranship:schedules[0]: unknown key "timezone"'],
    [schedule({ rule: ['nginx'] }), 'tranship:schedules[0]: unknown key "rule"'],
    [schedule({ rules: 'nginx' }), 'tranship:schedules[0].rules must be a list'],
  ])('refuses %j', (context, message) => {
    expect(() => read(context)).toThrow(
      expect.objectContaining({ code: 'config-invalid', message: expect.stringContaining(message) }),
    );
  });

  it('that are misspelt name the key that was meant', () => {
    expect(() => read(schedule({ timezone: 'UTC' }))).toThrow(
      expect.objectContaining({ mend: 'did you mean timeZone?' }),
    );
  });

  it('warn where no rules are named: a deployment takes away what other settings have made', () => {
    const warnings = (context: Record<string, unknown>) => {
      const { props } = read(context);
      const stack = new Stack(newApp(), 'Stack');
      warnOfExample(stack, props);
      return Annotations.fromStack(stack)
        .findWarning('*', Match.anyValue())
        .map(({ entry }) => String(entry.data));
    };
    expect(warnings({})).toEqual([expect.stringContaining('the rules are those of examples/tranship.yaml')]);
    // As the cdk.json of a clone has it.
    expect(warnings({ 'tranship:rules': 'examples/tranship.yaml' })).toHaveLength(1);
    expect(warnings({ 'tranship:rules': 'rules.yaml' })).toEqual([]);
  });

  it('name the stack by what CloudFormation takes', () => {
    expect(stackName(newApp())).toBe('Tranship');
    expect(stackName(newApp({ stack: 'Mirror-2' }))).toBe('Mirror-2');
    expect(() => stackName(newApp({ stack: 'my_stack' }))).toThrow('got "my_stack"');
  });
});
