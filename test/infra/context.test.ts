import { App } from 'aws-cdk-lib';
import { describe, expect, it } from 'vitest';
import { propsFromContext } from '../../infra/context.ts';

const read = (context: Record<string, unknown>) => propsFromContext(new App({ context }));

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
