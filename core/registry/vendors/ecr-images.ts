import { TranshipError } from '../../model/errors.ts';
import { formatTarget, type Repository, type Target } from '../../model/reference.ts';
import { type EcrHost, parseEcrHost } from '../ecr-host.ts';
import type { ListPage, TagPage } from './page.ts';

/** The images of private ECR repositories, by ECR's own API, whose logins are not the registry's. */
export interface EcrImages {
  /** False where the API may not be asked: there is no login for it, or it would not be that of the registry. */
  takes(repository: Repository): Promise<boolean>;
  /** Up to 1,000 tags; `next` is the API's token. */
  read(repository: Repository, cursor: string | undefined, signal: AbortSignal | undefined): Promise<TagPage>;
  /** Up to 1,000 repositories of a registry, by their whole paths. */
  readRepositories(place: Repository, cursor: string | undefined, signal: AbortSignal | undefined): Promise<ListPage>;
  /** `needed`: it is the last tag of an image that an index names; ECR would delete the image with it. */
  deleteTag(target: Target, signal: AbortSignal | undefined): Promise<'deleted' | 'absent' | 'needed'>;
}

/** What a call of the API is about. */
export interface EcrCall {
  repository: Repository;
  region: string;
  signal: AbortSignal | undefined;
}

/** The calls: a host brings the API's client. */
export interface EcrCalls {
  list: ListImages;
  describe: DescribeRepositories;
  remove: BatchDeleteImage;
}

/** One call of `DescribeRepositories`. */
export type DescribeRepositories = (
  call: EcrCall,
  input: { registryId: string; maxResults: number; nextToken?: string },
) => Promise<{ repositories?: Array<{ repositoryName?: string }>; nextToken?: string }>;

/** One call of `BatchDeleteImage`. */
export type BatchDeleteImage = (
  call: EcrCall,
  input: { registryId: string; repositoryName: string; imageIds: Array<{ imageTag: string }> },
) => Promise<{ failures?: Array<{ failureCode?: string; failureReason?: string }> }>;

/** One call of `ListImages`: a host brings the API's client. */
export type ListImages = (
  call: EcrCall,
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
 * Repositories, and deletion by tag, which the registry's own API has not.
 * https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
 */
export function createEcrImages({ takes, list, describe, remove }: Pick<EcrImages, 'takes'> & EcrCalls): EcrImages {
  return {
    takes,
    async read(repository, nextToken, signal) {
      const { account, region } = hostOf(repository);
      const { imageIds = [], nextToken: next } = await list(
        { repository, region, signal },
        {
          registryId: account,
          repositoryName: repository.repository,
          filter: { tagStatus: 'TAGGED' },
          maxResults: 1000,
          nextToken,
        },
      );
      return { digests: imageIds.map(({ imageTag, imageDigest }) => [imageTag, imageDigest] as const), next };
    },
    async readRepositories(place, nextToken, signal) {
      const { account, region } = hostOf(place);
      const input = { registryId: account, maxResults: 1000, nextToken };
      const { repositories = [], nextToken: next } = await describe({ repository: place, region, signal }, input);
      return { names: repositories.map(({ repositoryName }) => repositoryName), next };
    },
    async deleteTag(target, signal) {
      const { registry, repository, tag = '' } = target;
      const { account, region } = hostOf(target);
      const { failures = [] } = await remove(
        { repository: { registry, repository }, region, signal },
        { registryId: account, repositoryName: repository, imageIds: [{ imageTag: tag }] },
      );
      const [failure] = failures;
      if (failure === undefined) return 'deleted';
      if (failure.failureCode === 'ImageNotFound') return 'absent';
      if (failure.failureCode === 'ImageReferencedByManifestList') return 'needed';
      const operation = 'delete tag';
      const what = `${operation} ${formatTarget(target)}: ECR refuses it`;
      throw new TranshipError(`${what}: ${failure.failureCode}: ${failure.failureReason}`, {
        class: 'permanent',
        code: 'refused',
        registry,
        repository,
        operation,
      });
    },
  };
}

function hostOf({ registry }: Repository): EcrHost {
  const host = parseEcrHost(registry);
  if (host === undefined) throw new Error(`${registry} is no private ECR registry`);
  return host;
}
