import { BatchDeleteImageCommand, type ECRClient } from '@aws-sdk/client-ecr';
import { TranshipError } from '../../core/model/errors.ts';
import { formatTarget, type Repository, type Target } from '../../core/model/reference.ts';
import type { DeletionDeps } from '../../core/pipeline/run-deletion.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import { awsError } from './errors.ts';

/**
 * Deletes tags of private ECR repositories, whose registry API deletes nothing. With its last tag ECR deletes the image,
 * and refuses that where an index names it. https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
 *
 * @param usesRole false where a login was configured: it may be of another account, and its rights are not the role's
 */
export function createEcrDeletions(options: {
  clientFor: (region: string) => ECRClient;
  usesRole: (repository: Repository) => Promise<boolean>;
}): NonNullable<DeletionDeps['deleteTag']> {
  return async (target: Target) => {
    const { registry, repository, tag } = target;
    const host = parseEcrHost(registry);
    if (host === undefined || tag === undefined || !(await options.usesRole(target))) return undefined;
    const operation = `delete tag ${formatTarget(target)}`;
    const command = new BatchDeleteImageCommand({
      registryId: host.account,
      repositoryName: repository,
      imageIds: [{ imageTag: tag }],
    });
    const output = await options
      .clientFor(host.region)
      .send(command)
      .catch((error) => {
        throw awsError(operation, error);
      });
    const [failure] = output.failures ?? [];
    if (failure === undefined) return 'deleted';
    if (failure.failureCode === 'ImageNotFound') return 'absent';
    if (failure.failureCode === 'ImageReferencedByManifestList') return 'needed';
    throw new TranshipError(`${operation}: ECR refuses it: ${failure.failureCode}: ${failure.failureReason}`, {
      class: 'permanent',
      code: 'refused',
      registry,
      repository,
      operation: 'delete tag',
    });
  };
}
