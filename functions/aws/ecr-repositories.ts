import { CreateRepositoryCommand, type ECRClient, RepositoryAlreadyExistsException } from '@aws-sdk/client-ecr';
import type { Repository } from '../../core/model/reference.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import { fromAws } from './errors.ts';

/**
 * Makes a repository of a private ECR registry, for a push that was answered with "not found"; one that is there by now
 * is no error. Not to be called before the push was tried: a role without `ecr:CreateRepository` can push to what exists.
 *
 * @returns false where the registry is not ECR, so that there is nothing to be made
 */
export async function createEcrRepository(
  clientFor: (region: string) => ECRClient,
  { registry, repository }: Repository,
): Promise<boolean> {
  const host = parseEcrHost(registry);
  if (!host) return false;
  const command = new CreateRepositoryCommand({ registryId: host.account, repositoryName: repository });
  await clientFor(host.region)
    .send(command)
    .catch((error) => {
      if (!(error instanceof RepositoryAlreadyExistsException)) throw fromAws(`create repository ${repository}`, error);
    });
  return true;
}
