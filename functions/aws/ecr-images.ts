import { DescribeRepositoriesCommand, type ECRClient, ListImagesCommand } from '@aws-sdk/client-ecr';
import { formatRepository } from '../../core/model/reference.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import type { ListImages, ReadEcrRepositories } from '../../core/registry/vendors/ecr-images.ts';
import { awsError } from './errors.ts';

/** Lists images of ECR with the function's own role. */
export function listEcrImages(clientFor: (region: string) => ECRClient): ListImages {
  return ({ repository, region, signal }, input) =>
    clientFor(region)
      .send(new ListImagesCommand(input), { abortSignal: signal })
      .catch((error) => {
        throw awsError(`list images of ${formatRepository(repository)}`, error);
      });
}

/** Lists repositories of ECR with the function's own role. */
export function readEcrRepositories(clientFor: (region: string) => ECRClient): ReadEcrRepositories {
  return async (registry, nextToken, signal) => {
    const host = parseEcrHost(registry);
    if (host === undefined) throw new Error(`${registry} is no private ECR registry`);
    const command = new DescribeRepositoriesCommand({ registryId: host.account, maxResults: 1000, nextToken });
    const output = await clientFor(host.region)
      .send(command, { abortSignal: signal })
      .catch((error) => {
        throw awsError(`list repositories of ${registry}`, error);
      });
    return { names: (output.repositories ?? []).map((one) => one.repositoryName), next: output.nextToken };
  };
}
