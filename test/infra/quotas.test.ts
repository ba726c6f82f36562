import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, it } from 'vitest';
import { fitsPattern, readEventRules } from '../support/aws-host/event-rules.ts';
import { readPermissions } from '../support/aws-host/iam.ts';
import { resolved } from '../support/aws-host/resolved.ts';
import { overQuota } from '../support/quotas.ts';
import { rulesFile, synthesise, webhooksFile } from '../support/synth.ts';

const account = '123456789012';
const region = 'eu-central-1';
const ecr = `${account}.dkr.ecr.${region}.amazonaws.com`;
const sources = Array.from(
  { length: 200 },
  (_, n) => `ci${n}: { dialect: plain, token: $CI_TOKEN_${n}, allow: [a.example] }`,
);

/** A stack between so many pairs of repositories of ECR, with all that can be switched on. */
function stackOf(pairs: number, nameOf: (n: number) => string, senders = 1) {
  const names = Array.from({ length: pairs }, (_, n) => nameOf(n));
  const lines = names.map((name) => `  - { from: ${ecr}/${name}, to: ${ecr}/mirror/${name} }\n`);
  const template = synthesise({
    rulesFile: rulesFile(`version: 1\nrules:\n${lines.join('')}`),
    webhooksFile: webhooksFile(sources.slice(0, senders).join('\n')),
    ecrEvents: true,
    createEcrRepositories: true,
    email: 'ops@example.com',
  });
  return { names, template };
}

/** Repositories that the copier may not write and those that it may, of these and of others. */
function written({ template }: ReturnType<typeof stackOf>, names: string[]): string[] {
  const found = resolved(template);
  const role = found.ofType('AWS::IAM::Role').find(({ id }) => id.includes('Copier'))?.id ?? '';
  const permissions = readPermissions(found);
  return names.filter((name) =>
    permissions.check({
      role,
      action: 'ecr:PutImage',
      resource: `arn:aws:ecr:${region}:${account}:repository/${name}`,
    }),
  );
}

const pushTo = (repository: string) => ({
  source: 'aws.ecr',
  'detail-type': 'ECR Image Action',
  detail: { 'action-type': 'PUSH', result: 'SUCCESS', 'repository-name': repository },
});

function heard({ template }: ReturnType<typeof stackOf>, names: string[]): string[] {
  const rules = readEventRules(resolved(template));
  return names.filter((name) => rules.some(({ pattern }) => fitsPattern(pattern, pushTo(name))));
}

describe('quotas that only a deployment would check', () => {
  it('hold for 200 pairs of repositories, each named exactly', () => {
    const stack = stackOf(200, (n) => `platform/services/application-${n}`);
    const { names, template } = stack;
    expect(overQuota(template)).toEqual([]);
    const mirrors = names.map((name) => `mirror/${name}`);
    expect(written(stack, mirrors)).toEqual(mirrors);
    expect(written(stack, [...names, 'mirror/platform/services/other'])).toEqual([]);
    expect(heard(stack, names)).toEqual(names);
    expect(heard(stack, ['platform/services/other', ...mirrors])).toEqual([]);
  });

  it('hold for 2,000 pairs of repositories', { timeout: 120_000 }, () => {
    const stack = stackOf(2000, (n) => `team-${n % 40}/services/application-${n}`);
    const { names, template } = stack;
    expect(overQuota(template)).toEqual([]);
    const some = names.filter((_, n) => n % 50 === 0);
    const mirrors = some.map((name) => `mirror/${name}`);
    expect(written(stack, mirrors)).toEqual(mirrors);
    expect(heard(stack, some)).toEqual(some);
    // What no rule writes to stays out of reach, where namespaces tell it apart.
    expect(written(stack, ['elsewhere/services/application-1', 'team-1/services/application-1'])).toEqual([]);
  });

  it('hold for a new account: all mappings together leave one of its ten functions', () => {
    const mappings = Object.values(stackOf(1, String).template.findResources('AWS::Lambda::EventSourceMapping'));
    const most = mappings.map(({ Properties }) => Properties.ScalingConfig.MaximumConcurrency as number);
    expect(most).toHaveLength(3);
    expect(most.reduce((sum, one) => sum + one, 0)).toBe(9);
  });

  it('hold for 180 senders', () => {
    expect(overQuota(stackOf(1, () => 'app', 180).template)).toEqual([]);
  });

  it('hold for long lists of hosts and secrets: what one output has no room for is in the next ones', () => {
    const allowedRealms = Array.from({ length: 60 }, (_, n) => `auth${n}.registry.example.com`);
    const arnOf = (n: number) =>
      `arn:aws:secretsmanager:eu-central-1:123456789012:secret:tranship/logins/of/registries/of/team-${n}-abcdef`;
    const template = synthesise({ allowedRealms }, (scope) => ({
      loginSecrets: Array.from({ length: 10 }, (_, n) => Secret.fromSecretCompleteArn(scope, `Login${n}`, arnOf(n))),
    }));
    expect(overQuota(template)).toEqual([]);
    const found = resolved(template);
    const listed = (name: string) =>
      Object.entries(template.toJSON().Outputs as Record<string, { Value: unknown }>)
        .filter(([output]) => output.startsWith(name))
        .map(([, { Value }]) => String(found.resolve(Value)).split(','));
    expect(listed('AllowedRealms').length).toBeGreaterThan(1);
    expect(listed('AllowedRealms').flat()).toEqual(allowedRealms);
    expect(listed('LoginSecrets').flat().slice(1)).toEqual(Array.from({ length: 10 }, (_, n) => arnOf(n)));
  });

  it('of the variables of a function stop the synthesis', () => {
    const allowedRealms = Array.from({ length: 140 }, (_, n) => `auth${n}.registry.example.com`);
    expect(() => synthesise({ allowedRealms })).toThrow('allowedRealms and loginSecrets are too long');
    const byName = (length: number) => () =>
      synthesise({}, (scope) => ({
        loginSecrets: Array.from({ length }, (_, n) => Secret.fromSecretNameV2(scope, `Login${n}`, `login-${n}`)),
      }));
    expect(overQuota(byName(20)())).toEqual([]);
    expect(byName(50)).toThrow('allowedRealms and loginSecrets are too long');
  });

  it('are judged: a role with too much in it is found', () => {
    const { template } = stackOf(1, () => 'app');
    const [id = ''] = Object.keys(template.findResources('AWS::IAM::Policy'));
    template.toJSON().Resources[id].Properties.PolicyDocument.Statement.push({ Sid: 'x'.repeat(11_000) });
    expect(overQuota(template)).toHaveLength(1);
  });
});
