import { type CopyContext, createCopyContext } from '../../core/copy/context.ts';
import type { Credentials } from '../../core/model/credentials.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { createRegistryClient, type RegistryClient } from '../../core/registry/client.ts';
import { createEcrImages } from '../../core/registry/vendors/ecr-images.ts';
import { readProxySettings } from '../../core/registry/wire/proxy.ts';
import { createSecretsClient } from './clients.ts';
import { createSecretCredentials } from './credentials.ts';
import { ecrClient } from './ecr-clients.ts';
import { createEcrCredentials, isLogin } from './ecr-credentials.ts';
import { ecrCalls } from './ecr-images.ts';
import { readEnvironment, readList, readNumber, readText } from './environment.ts';
import { emit, logger } from './telemetry.ts';

const warn = (message: string) => logger.warn(message);

/** The logins of the stack's secrets. */
export function openLogins(): Credentials {
  const { TRANSHIP_AUTH_SECRETS } = readEnvironment(['TRANSHIP_AUTH_SECRETS']);
  return createSecretCredentials({ client: createSecretsClient(), secretIds: readList(TRANSHIP_AUTH_SECRETS), warn });
}

/** A client of the registries with these logins and, for ECR, that of the function's role. */
export function openRegistries(configured: Credentials = openLogins()): RegistryClient {
  return createRegistryClient({
    credentials: createEcrCredentials({ configured, clientFor: ecrClient }),
    ecrImages: createEcrImages({
      // A login that was configured may be of another account, and its rights are not the role's.
      takes: async (repository) => !isLogin(await configured.lookup(repository)),
      ...ecrCalls(ecrClient),
    }),
    proxy: readProxySettings(process.env),
    allowedRealms: readList(readText('TRANSHIP_ALLOWED_REALMS') ?? ''),
    onWarning: warn,
  });
}

/** What copies of one function instance share, over its invocations; each brings its own signal. */
export function openCopying(ledger: Ledger, logins: Credentials): Omit<CopyContext, 'signal'> {
  return createCopyContext({
    client: openRegistries(logins),
    ledger,
    blobsAtOnce: readNumber('TRANSHIP_BLOBS_AT_ONCE', 4),
    emit,
  });
}
