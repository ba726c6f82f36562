import { type ECRClient, ListImagesCommand } from '@aws-sdk/client-ecr';
import { formatRepository } from '../../core/model/reference.ts';
import type { ListImages } from '../../core/registry/vendors/ecr-images.ts';
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
