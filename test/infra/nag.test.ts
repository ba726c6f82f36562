import { Stack, Validations } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Key } from 'aws-cdk-lib/aws-kms';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import type { TranshipProps } from '../../infra/props.ts';
import { TranshipStack } from '../../infra/tranship-stack.ts';
import { newApp, oneRule, rulesFile } from '../support/synth.ts';

const ecrRules = `version: 1
rules:
  - from: nginx
    to: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/mirror/nginx
`;

const vpc = {
  vpcId: 'vpc-0123456789abcdef0',
  availabilityZones: ['eu-central-1a'],
  privateSubnetIds: ['subnet-0123456789abcdef0'],
  privateSubnetRouteTableIds: ['rtb-0123456789abcdef0'],
};

function check(props: Partial<TranshipProps>, text = oneRule, more?: (scope: Stack) => Partial<TranshipProps>): void {
  const app = newApp();
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  new TranshipStack(app, 'Tranship', { rulesFile: rulesFile(text), ...props, ...more?.(new Stack(app, 'Own')) });
  app.synth();
}

describe('cdk-nag AwsSolutions', () => {
  it('has nothing to say that is not acknowledged with a reason', () => {
    expect(() => check({})).not.toThrow();
  });

  it('nor with mail and ECR', () => {
    expect(() => check({ email: 'ops@example.com', createEcrRepositories: true }, ecrRules)).not.toThrow();
  });

  it('nor with more repositories of ECR than fit into a policy', () => {
    const one = ecrRules.slice(ecrRules.indexOf('  - '));
    const many = Array.from({ length: 600 }, (_, n) => one.replace('mirror/nginx', `mirror/nginx-${n}`));
    expect(() => check({}, `version: 1\nrules:\n${many.join('')}`)).not.toThrow();
  });

  it('nor with a key of its own', () => {
    const more = (scope: Stack) => ({ encryptionKey: new Key(scope, 'Key', { enableKeyRotation: true }) });
    expect(() => check({ email: 'ops@example.com' }, oneRule, more)).not.toThrow();
  });

  it('nor in a VPC', () => {
    const more = (scope: Stack) => ({ vpc: Vpc.fromVpcAttributes(scope, 'Vpc', vpc) });
    expect(() => check({}, oneRule, more)).not.toThrow();
  });

  it('is asked: a finding that nobody acknowledged fails', () => {
    const more = (scope: Stack) => ({ loginSecrets: [new Secret(scope, 'Unrotated') as ISecret] });
    expect(() => check({}, oneRule, more)).toThrow('SMG4');
  });
});
