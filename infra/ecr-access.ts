import type { Repository } from '../core/reference.ts';
import type { RuleSet } from '../core/rules/model.ts';
import { parseEcrHost } from '../functions/aws/ecr-host.ts';
import { arnOf, type PipelineFunction } from './pipeline-function.ts';

const PULL = ['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchCheckLayerAvailability', 'ecr:ListImages'];
const PUSH = ['ecr:InitiateLayerUpload', 'ecr:UploadLayerPart', 'ecr:CompleteLayerUpload', 'ecr:PutImage'];

/**
 * Lets a function use the private ECR repositories that rules name, by its role: sources to read, destinations to read
 * and, with `push`, to write. Repositories of another account must also allow it in their own policy.
 */
export function allowEcr(
  target: PipelineFunction,
  { rules }: RuleSet,
  options: { access: 'pull' | 'push'; createRepositories: boolean },
): void {
  const sources = arnsOf(rules.map((rule) => rule.from));
  const destinations = arnsOf(rules.flatMap((rule) => rule.to));
  const all = [...new Set([...sources, ...destinations])];
  if (all.length === 0) return;
  // The one action of ECR that has no resource: it gives a token that can do what the role can.
  target.allow(['ecr:GetAuthorizationToken'], ['*']);
  target.acknowledge('AwsSolutions-IAM5[Resource::*]', 'ecr:GetAuthorizationToken has no resource to name.');
  target.allow(PULL, all);
  if (options.access === 'pull' || destinations.length === 0) return;
  target.allow(PUSH, destinations);
  if (options.createRepositories) target.allow(['ecr:CreateRepository'], destinations);
}

function arnsOf(repositories: Repository[]): string[] {
  const arns = repositories.flatMap(({ registry, repository }) => {
    const host = parseEcrHost(registry);
    return host ? [arnOf({ service: 'ecr', ...host, resource: `repository/${repository}` })] : [];
  });
  return [...new Set(arns)].sort();
}
