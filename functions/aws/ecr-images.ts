import {
  BatchDeleteImageCommand,
  DescribeRepositoriesCommand,
  type ECRClient,
  ListImagesCommand,
} from '@aws-sdk/client-ecr';
import { formatRepository } from '../../core/model/reference.ts';
import type { EcrCalls } from '../../core/registry/vendors/ecr-images.ts';
import { awsError } from './errors.ts';

/** Calls of ECR's API with the function's own role. */
export function ecrCalls(clientFor: (region: string) => ECRClient): EcrCalls {
  return {
    list: ({ repository, region, signal }, input) =>
      clientFor(region)
        .send(new ListImagesCommand(input), { abortSignal: signal })
        .catch((error) => {
          throw awsError(`list images of ${formatRepository(repository)}`, error);
        }),
    describe: ({ repository, region, signal }, input) =>
      clientFor(region)
        .send(new DescribeRepositoriesCommand(input), { abortSignal: signal })
        .catch((error) => {
          throw awsError(`list repositories of ${repository.registry}`, error);
        }),
    remove: ({ repository, region, signal }, input) =>
      clientFor(region)
        .send(new BatchDeleteImageCommand(input), { abortSignal: signal })
        .catch((error) => {
          throw awsError(`delete a tag of ${formatRepository(repository)}`, error);
        }),
  };
}
