import type { Credentials } from '../../core/model/credentials.ts';
import type { Repository } from '../../core/model/reference.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import { createEcrImages, type EcrCalls, type EcrImages } from '../../core/registry/vendors/ecr-images.ts';

/** ECR's own API, for registries whose login is got by AWS credentials. Loads AWS's client when it is first asked. */
export function openEcrImages(credentials: Credentials): EcrImages {
  const callsFor = async (repository: Repository): Promise<EcrCalls> => {
    const { ecrCalls } = await import('./ecr.ts');
    return ecrCalls((await credentials.lookup(repository))?.profile);
  };
  return createEcrImages({
    takes: async (repository) =>
      // ECR Public has another API.
      parseEcrHost(repository.registry) !== undefined && (await credentials.lookup(repository))?.provider === 'ecr',
    list: async (call, input) => (await callsFor(call.repository)).list(call, input),
    describe: async (call, input) => (await callsFor(call.repository)).describe(call, input),
    remove: async (call, input) => (await callsFor(call.repository)).remove(call, input),
  });
}
