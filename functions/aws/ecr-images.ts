import { type ECRClient, ListImagesCommand } from '@aws-sdk/client-ecr';
import type { Repository } from '../../core/model/reference.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import type { EcrImages } from '../../core/registry/vendors/ecr-images.ts';
import { awsError } from './errors.ts';

/**
 * Tags of private ECR repositories with their digests, 1,000 at a time; for an image of several platforms it is that of
 * the index. https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImages.html
 *
 * @param usesRole false where a login was configured: it may be of another account, and its rights are not the role's
 */
export function createEcrImages(options: {
  clientFor: (region: string) => ECRClient;
  usesRole: (repository: Repository) => Promise<boolean>;
}): EcrImages {
  return {
    takes: options.usesRole,
    async read({ registry, repository }, nextToken, signal) {
      const host = parseEcrHost(registry);
      if (host === undefined) throw new Error(`${registry} is no private ECR registry`);
      const command = new ListImagesCommand({
        registryId: host.account,
        repositoryName: repository,
        filter: { tagStatus: 'TAGGED' },
        maxResults: 1000,
        nextToken,
      });
      const output = await options
        .clientFor(host.region)
        .send(command, { abortSignal: signal })
        .catch((error) => {
          throw awsError(`list images of ${registry}/${repository}`, error);
        });
      const digests = (output.imageIds ?? []).map(({ imageTag, imageDigest }) => [imageTag, imageDigest] as const);
      return { digests, next: output.nextToken };
    },
  };
}
