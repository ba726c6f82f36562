import {
  BatchDeleteImageCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  GetAuthorizationTokenCommand,
  ListImagesCommand,
} from '@aws-sdk/client-ecr';
import { ECRPUBLICClient, GetAuthorizationTokenCommand as PublicTokenCommand } from '@aws-sdk/client-ecr-public';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { TranshipError } from '../../core/model/errors.ts';
import { formatRepository } from '../../core/model/reference.ts';
import type { EcrCalls } from '../../core/registry/vendors/ecr-images.ts';
import { parseEcrLogin } from '../../core/registry/vendors/ecr-login.ts';
import { noLogin, type ShortLogin } from './login.ts';

/**
 * A login to all private ECR registries of a region that the user's AWS credentials may use, good for 12 hours. The SDK
 * looks for those as AWS's own tools do: environment, profiles with their roles and single sign-on, the machine's role.
 */
export async function ecrLogin({ profile }: AuthEntry, region: string, now: number): Promise<ShortLogin> {
  const operation = `get a login for ECR in ${region}`;
  const output = await clientFor(region, profile)
    .send(new GetAuthorizationTokenCommand({}))
    .catch((error: unknown) => {
      throw ecrError(operation, profile, error);
    });
  return parseEcrLogin(operation, output.authorizationData?.[0], now);
}

/**
 * A login to ECR Public, good for 12 hours. Its API is in one region.
 * @see https://docs.aws.amazon.com/AmazonECRPublic/latest/APIReference/API_GetAuthorizationToken.html
 */
export async function ecrPublicLogin({ profile }: AuthEntry, now: number): Promise<ShortLogin> {
  const operation = 'get a login for ECR Public';
  const client = new ECRPUBLICClient({ region: 'us-east-1', profile, requestHandler: timeouts });
  try {
    const output = await client.send(new PublicTokenCommand({}));
    return parseEcrLogin(operation, output.authorizationData, now);
  } catch (error) {
    if (error instanceof TranshipError) throw error;
    throw ecrError(operation, profile, error, 'ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken');
  } finally {
    client.destroy();
  }
}

/** Calls of ECR's API with the credentials of a profile. */
export function ecrCalls(profile: string | undefined): EcrCalls {
  const refused = (operation: string) => (error: unknown) => {
    throw ecrError(operation, profile, error);
  };
  return {
    list: ({ repository, region, signal }, input) =>
      clientFor(region, profile)
        .send(new ListImagesCommand(input), { abortSignal: signal })
        .catch(refused(`list images of ${formatRepository(repository)}`)),
    describe: ({ repository, region, signal }, input) =>
      clientFor(region, profile)
        .send(new DescribeRepositoriesCommand(input), { abortSignal: signal })
        .catch(refused(`list repositories of ${repository.registry}`)),
    remove: ({ repository, region, signal }, input) =>
      clientFor(region, profile)
        .send(new BatchDeleteImageCommand(input), { abortSignal: signal })
        .catch(refused(`delete a tag of ${formatRepository(repository)}`)),
  };
}

const timeouts = { connectionTimeout: 5_000, requestTimeout: 15_000, throwOnRequestTimeout: true };

const clients = new Map<string, ECRClient>();

function clientFor(region: string, profile: string | undefined): ECRClient {
  const key = JSON.stringify([region, profile]);
  let client = clients.get(key);
  if (client === undefined) {
    client = new ECRClient({ region, profile, requestHandler: timeouts });
    clients.set(key, client);
  }
  return client;
}

function ecrError(
  operation: string,
  profile: string | undefined,
  thrown: unknown,
  right = 'ecr:GetAuthorizationToken',
): TranshipError {
  const { name = '', message = '', $metadata, $fault } = Object(thrown);
  const status: number | undefined = $metadata?.httpStatusCode;
  if (/CredentialsProvider|TokenProvider|SSO/.test(name)) {
    const whose = profile === undefined ? 'AWS has no credentials here' : `the AWS profile ${profile} gives none`;
    return noLogin(
      operation,
      `${whose} (${message})`,
      'set AWS_PROFILE, or profile in the auth entry; or run: aws sso login',
    );
  }
  const isRefusal = $fault === 'client' && status !== undefined && status !== 429;
  return new TranshipError(`${operation}: ${name}: ${message}`, {
    class: isRefusal && !/Throttl/.test(name) ? 'permanent' : 'transient',
    code: isRefusal ? 'denied' : status === undefined ? 'network' : 'server-error',
    operation,
    status,
    ...(isRefusal && { mend: `its role or user needs ${right}, and the rights to the repository` }),
    cause: thrown,
  });
}
