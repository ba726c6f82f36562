import { Annotations } from 'aws-cdk-lib';
import type { Repository } from '../core/model/reference.ts';
import type { Rule, RuleSet } from '../core/model/rule.ts';
import { mirrorsOf } from '../core/pipeline/endpoints.ts';
import { type EcrHost, parseEcrHost } from '../core/registry/ecr-host.ts';
import { foldNames } from './fold-names.ts';
import { arnOf } from './pipeline-function.ts';
import type { RoleHolder } from './role-holder.ts';

const PULL = ['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchCheckLayerAvailability', 'ecr:ListImages'];
const PUSH = ['ecr:InitiateLayerUpload', 'ecr:UploadLayerPart', 'ecr:CompleteLayerUpload', 'ecr:PutImage'];

/**
 * Characters for the ARNs of one statement. A managed policy holds 6,144 characters without blanks, and the CDK can
 * move a whole statement into one of its own but cannot divide it. The rest is for the actions and the policy around
 * it. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
 */
const STATEMENT_CHARACTERS = 5_600;
/** One in the role's own policy beside its other rights, the others in managed policies, of which a role takes 10. */
const MOST_STATEMENTS = 9;
/** `"arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/",`: what an ARN has besides the name. */
const ARN_CHARACTERS = 60;

/**
 * Lets a part of the stack use the private ECR repositories that rules name, by its role: sources to read, destinations
 * to read and, with `push`, to write, and to delete from where a rule says so. More repositories than fit into a role's policies (about 500 with names of usual length)
 * are named by their namespaces. Repositories of another account must also allow the role in their own policy.
 */
export function allowEcr(
  target: RoleHolder,
  { rules }: RuleSet,
  options: { access: 'pull' | 'push'; createRepositories: boolean },
): void {
  const from = ecrRepositories(
    rules.flatMap((rule) => {
      const source = namedPlace(rule, rule.from);
      return [source, ...mirrorsOf(source, rule.endpoints)];
    }),
  );
  const placesTo = (some: Rule[]) => some.flatMap((rule) => rule.to.map((place) => namedPlace(rule, place)));
  const to = ecrRepositories(placesTo(rules));
  if (from.size + to.size === 0) return;
  // This action has no resource. Its token can do what the role can.
  target.allow(['ecr:GetAuthorizationToken'], ['*']);
  target.acknowledge('AwsSolutions-IAM5[Resource::*]', 'ecr:GetAuthorizationToken has no resource to name.');
  const isPush = options.access === 'push';
  const deleting = isPush ? ecrRepositories(placesTo(rules.filter((rule) => rule.delete))) : new Map();
  const written = new Map(isPush ? [...to].filter(([key]) => !deleting.has(key)) : []);
  const read = new Map([...from, ...to].filter(([key]) => !written.has(key) && !deleting.has(key)));
  const share = (part: ReadonlyMap<string, unknown>) => part.size / (read.size + written.size + deleting.size);
  allowRepositories(target, read, PULL, share(read));
  const create = options.createRepositories ? ['ecr:CreateRepository'] : [];
  allowRepositories(target, written, [...PULL, ...PUSH, ...create], share(written));
  allowRepositories(target, deleting, [...PULL, ...PUSH, ...create, 'ecr:BatchDeleteImage'], share(deleting));
}

/** A repository, or all below the path of a rule for many: `path/*`. */
function namedPlace({ discover }: Rule, { registry, repository }: Repository): Repository {
  if (discover === undefined) return { registry, repository };
  return { registry, repository: repository === '' ? '*' : `${repository}/*` };
}

/** Lets a function list the repositories of private ECR registries that rules for many copy from. */
export function allowEcrCatalogs(target: RoleHolder, { rules }: RuleSet): void {
  const hosts = new Map(
    rules.flatMap(({ discover, from: { registry } }) => {
      const host = discover && parseEcrHost(registry);
      return host === undefined ? [] : [[registry, host] as const];
    }),
  );
  for (const host of hosts.values()) {
    target.allow(['ecr:DescribeRepositories'], [arnOf({ service: 'ecr', ...host, resource: 'repository/*' })]);
    target.acknowledge(
      `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecr:${host.region}:${host.account}:repository/*]`,
      'A rule copies from all repositories below a path: they have to be listed.',
    );
  }
}

interface EcrRepository {
  host: EcrHost;
  name: string;
}

function ecrRepositories(repositories: Repository[]): Map<string, EcrRepository> {
  const found = new Map<string, EcrRepository>();
  for (const { registry, repository } of repositories) {
    const host = parseEcrHost(registry);
    if (host) found.set(`${host.account} ${host.region} ${repository}`, { host, name: repository });
  }
  return found;
}

/** @param share of the role's policies that these repositories may fill */
function allowRepositories(
  target: RoleHolder,
  repositories: ReadonlyMap<string, EcrRepository>,
  actions: string[],
  share: number,
): void {
  if (repositories.size === 0) return;
  // Statements are not filled to the last character, and each part has one more or less than its share.
  const budget = Math.max(1, Math.floor(MOST_STATEMENTS * share)) * (STATEMENT_CHARACTERS - ARN_CHARACTERS - 256);
  const names = foldRegistries(repositories, budget);
  const given = new Set([...repositories.values()].map(({ name }) => name));
  const folded = names.filter(({ name }) => name.endsWith('*') && !given.has(name)).map(({ name }) => name);
  if (folded.length > 0) {
    const told = `${repositories.size} repositories of ECR are more than fit into a role's policies: it may use all of ${folded}`;
    Annotations.of(target).addWarningV2('tranship:ecr-policies', told);
  }
  const arns = names.map(({ host, name }) => {
    const resource = `repository/${name}`;
    if (name.endsWith('*')) {
      target.acknowledge(
        `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecr:${host.region}:${host.account}:${resource}]`,
        given.has(name)
          ? 'A rule names all repositories below this path.'
          : `The rules name ${repositories.size} repositories, more than fit into the policies of a role.`,
      );
    }
    return { arn: arnOf({ service: 'ecr', ...host, resource }), characters: name.length + ARN_CHARACTERS };
  });
  let statement: string[] = [];
  let characters = 0;
  for (const { arn, characters: more } of arns) {
    if (characters + more > STATEMENT_CHARACTERS) {
      target.allow(actions, statement);
      statement = [];
      characters = 0;
    }
    statement.push(arn);
    characters += more;
  }
  target.allow(actions, statement);
}

/** The names by registry; each registry gets the share of the budget that its repositories are of all. */
function foldRegistries(repositories: ReadonlyMap<string, EcrRepository>, budget: number): EcrRepository[] {
  const registries = Map.groupBy(repositories.values(), ({ host }) => `${host.account} ${host.region}`);
  return [...registries.values()].flatMap((members) => {
    const [first] = members;
    if (first === undefined) return [];
    const share = Math.floor((budget * members.length) / repositories.size);
    const names = foldNames(
      members.map(({ name }) => name),
      { budget: share, overhead: ARN_CHARACTERS },
    );
    return names.map((name) => ({ host: first.host, name }));
  });
}
