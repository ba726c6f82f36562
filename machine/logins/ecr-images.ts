import type { Credentials } from '../../core/model/credentials.ts';
import { createEcrImages, type EcrImages } from '../../core/registry/vendors/ecr-images.ts';

/** ECR's own API, for registries whose login is got by AWS credentials. Loads AWS's client when it is first asked. */
export function openEcrImages(credentials: Credentials): EcrImages {
  return createEcrImages({
    takes: async (repository) => (await credentials.lookup(repository))?.provider === 'ecr',
    async list(call, input) {
      const { listEcrImages } = await import('./ecr.ts');
      const login = await credentials.lookup(call.repository);
      return listEcrImages(login?.profile)(call, input);
    },
  });
}
