import type { Repository } from '../../model/reference.ts';
import { parseEcrHost } from '../ecr-host.ts';
import type { RepositoryPage, TagPage } from './page.ts';

/** The images of private ECR repositories, by ECR's own API (`ListImages`), whose logins are not the registry's. */
export interface EcrImages {
  /** False where the API may not be asked: there is no login for it, or it would not be that of the registry. */
  takes(repository: Repository): Promise<boolean>;
  /** Up to 1,000 tags; `next` is the API's token. */
  read(repository: Repository, cursor: string | undefined, signal: AbortSignal | undefined): Promise<TagPage>;
  /** Up to 1,000 repositories of a registry; left out where the host has no client for it. */
  readRepositories?: ReadEcrRepositories;
}

/** One call of `DescribeRepositories`. */
export type ReadEcrRepositories = (
  registry: string,
  cursor: string | undefined,
  signal: AbortSignal | undefined,
) => Promise<RepositoryPage>;

/** One call of `ListImages`: a host brings the API's client. */
export type ListImages = (
  call: { repository: Repository; region: string; signal: AbortSignal | undefined },
  input: {
    registryId: string;
    repositoryName: string;
    filter: { tagStatus: 'TAGGED' };
    maxResults: number;
    nextToken?: string;
  },
) => Promise<{ imageIds?: Array<{ imageTag?: string; imageDigest?: string }>; nextToken?: string }>;

/**
 * Tags of private ECR repositories with their digests, 1,000 at a time; for an image of several platforms it is that of
 * the index. https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImages.html
 */
export function createEcrImages({
  takes,
  list,
  readRepositories,
}: Pick<EcrImages, 'takes' | 'readRepositories'> & { list: ListImages }): EcrImages {
  return {
    takes,
    readRepositories,
    async read(repository, nextToken, signal) {
      const host = parseEcrHost(repository.registry);
      if (host === undefined) throw new Error(`${repository.registry} is no private ECR registry`);
      const { imageIds = [], nextToken: next } = await list(
        { repository, region: host.region, signal },
        {
          registryId: host.account,
          repositoryName: repository.repository,
          filter: { tagStatus: 'TAGGED' },
          maxResults: 1000,
          nextToken,
        },
      );
      return { digests: imageIds.map(({ imageTag, imageDigest }) => [imageTag, imageDigest] as const), next };
    },
  };
}
