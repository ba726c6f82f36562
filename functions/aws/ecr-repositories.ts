import { CreateRepositoryCommand, type ECRClient, RepositoryAlreadyExistsException } from '@aws-sdk/client-ecr';
import type { Repository } from '../../core/model/reference.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import { awsError } from './errors.ts';

/**
 * Creates a repository of a private ECR registry after a push found none; one that exists by now is no error. Call it
 * only after the push was tried: a role without `ecr:CreateRepository` can still push to repositories that exist.
 *
 * @returns false when the registry is not ECR
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
      if (!(error instanceof RepositoryAlreadyExistsException))
        throw awsError(`create repository ${repository}`, error);
    });
  return true;
}
