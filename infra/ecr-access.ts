import type { Repository } from '../core/model/reference.ts';
import type { RuleSet } from '../core/model/rule.ts';
import { parseEcrHost } from '../core/registry/ecr-host.ts';
import { arnOf, type PipelineFunction } from './pipeline-function.ts';

const PULL = ['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchCheckLayerAvailability', 'ecr:ListImages'];
const PUSH = ['ecr:InitiateLayerUpload', 'ecr:UploadLayerPart', 'ecr:CompleteLayerUpload', 'ecr:PutImage'];

/** A role holds some 60,000 characters of policy, and each repository is in two or three statements with 100 or more. */
const MOST_REPOSITORIES = 100;

/**
 * Lets a function use the private ECR repositories that rules name, by its role: sources to read, destinations to read
 * and, with `push`, to write. Where they are more than fit into a role's policies, their namespaces (first path segment)
 * stand for them. Repositories of another account must also allow it in their own policy.
 */
export function allowEcr(
  target: PipelineFunction,
  { rules }: RuleSet,
  options: { access: 'pull' | 'push'; createRepositories: boolean },
): void {
  const from = rules.map((rule) => rule.from);
  const to = rules.flatMap((rule) => rule.to);
  const all = arnsOf(target, [...from, ...to]);
  if (all.length === 0) return;
  // The one action of ECR that has no resource: it gives a token that can do what the role can.
  target.allow(['ecr:GetAuthorizationToken'], ['*']);
  target.acknowledge('AwsSolutions-IAM5[Resource::*]', 'ecr:GetAuthorizationToken has no resource to name.');
  target.allow(PULL, all);
  const destinations = arnsOf(target, to);
  if (options.access === 'pull' || destinations.length === 0) return;
  target.allow(PUSH, destinations);
  if (options.createRepositories) target.allow(['ecr:CreateRepository'], destinations);
}

function arnsOf(target: PipelineFunction, repositories: Repository[]): string[] {
  const named = new Map<string, { account: string; region: string; path: string }>();
  for (const { registry, repository } of repositories) {
    const host = parseEcrHost(registry);
    if (host) named.set(`${host.account} ${host.region} ${repository}`, { ...host, path: repository });
  }
  const isFolded = named.size > MOST_REPOSITORIES;
  const arns = [...named.values()].map(({ path, ...host }) => {
    const namespace = path.includes('/') ? `${path.slice(0, path.indexOf('/'))}/*` : path;
    const resource = `repository/${isFolded ? namespace : path}`;
    if (isFolded && resource.endsWith('*')) {
      target.acknowledge(
        `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecr:${host.region}:${host.account}:${resource}]`,
        `The rules name ${named.size} repositories, more than fit into a policy: their namespace stands for them.`,
      );
    }
    return arnOf({ service: 'ecr', ...host, resource });
  });
  return [...new Set(arns)].sort();
}
