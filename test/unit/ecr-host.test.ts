import { describe, expect, it } from 'vitest';
import { formatEcrHost, oneNameOf, parseEcrHost } from '../../core/registry/ecr-host.ts';

describe('the host of a private ECR registry', () => {
  const account = '123456789012';

  it.each([
    ['dkr.ecr.eu-west-1.amazonaws.com', 'eu-west-1'],
    ['dkr-ecr.eu-west-1.on.aws', 'eu-west-1'],
    ['dkr.ecr-fips.us-east-1.amazonaws.com', 'us-east-1'],
    ['dkr-ecr-fips.us-east-1.on.aws', 'us-east-1'],
    ['dkr.ecr.us-gov-west-1.amazonaws.com', 'us-gov-west-1'],
    ['dkr-ecr-fips.us-gov-west-1.on.aws', 'us-gov-west-1'],
    ['dkr.ecr.cn-north-1.amazonaws.com.cn', 'cn-north-1'],
    ['dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn', 'cn-northwest-1'],
    ['dkr.ecr.eusc-de-east-1.amazonaws.eu', 'eusc-de-east-1'],
    ['dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu', 'eusc-de-east-1'],
    ['dkr-ecr.eusc-de-east-1.amazonwebservices.eu', 'eusc-de-east-1'],
    ['dkr.ecr.us-iso-east-1.c2s.ic.gov', 'us-iso-east-1'],
    ['dkr-ecr.us-iso-west-1.on.aws.ic.gov', 'us-iso-west-1'],
    ['dkr.ecr.us-isob-east-1.sc2s.sgov.gov', 'us-isob-east-1'],
    ['dkr-ecr.us-isob-east-1.on.aws.scloud', 'us-isob-east-1'],
    ['dkr.ecr.us-isof-south-1.csp.hci.ic.gov', 'us-isof-south-1'],
    ['dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk', 'eu-isoe-west-1'],
    ['dkr-ecr.eu-isoe-west-1.on.cloud-aws.adc-e.uk', 'eu-isoe-west-1'],
  ])('tells account and region: %s', (rest, region) => {
    expect(parseEcrHost(`${account}.${rest}`)).toEqual({ account, region });
    // What it is called in an event of its own.
    const usual = oneNameOf(`${account}.${rest}`);
    expect(usual).toBe(formatEcrHost({ account, region }));
    expect(oneNameOf(usual)).toBe(usual);
  });

  // The role's token is sent there.
  it.each([
    'dkr.ecr.eu-west-1.amazonaws.com.cn',
    'dkr.ecr.cn-north-1.amazonaws.com',
    'dkr.ecr.eu-west-1.amazonaws.eu',
    'dkr.ecr.eusc-de-east-1.amazonaws.com',
    'dkr-ecr.eu-west-1.amazonaws.com',
    'dkr.ecr.eu-west-1.on.aws',
    'dkr-ecr.cn-north-1.on.aws',
    'dkr.ecr.eu-west-1.c2s.ic.gov',
    'dkr.ecr.eu-west-1.amazonaws.com.evil.example',
    'dkr.ecr.eu-west-1.evilamazonaws.com',
    'dkr.ecr.evil.eu-west-1.amazonaws.com',
    'dkr.ecr.eu-west-1.amazonaws.com:443',
  ])('is none of others: %s', (rest) => {
    expect(parseEcrHost(`${account}.${rest}`)).toBeUndefined();
    expect(oneNameOf(`${account}.${rest}`)).toBe(`${account}.${rest}`);
  });
});
