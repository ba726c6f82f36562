import { type ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr';
import type { AuthEntry, Credentials } from '../../core/model/credentials.ts';
import { type Clock, kept } from '../../core/model/kept.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import { parseEcrLogin } from '../../core/registry/vendors/ecr-login.ts';
import { awsError } from './errors.ts';

/**
 * Adds logins to private ECR registries by the function's own IAM role. A login that `configured` has for a host comes
 * first. One token serves all registries of a region that the role may use (GetAuthorizationToken), so tokens are kept by
 * region. ECR Public is left out: its pulls need no login, and one can be configured.
 */
export function createEcrCredentials(options: {
  configured: Credentials;
  clientFor: (region: string) => ECRClient;
  clock?: Clock;
}): Credentials {
  const { configured, clientFor, clock = { now: Date.now } } = options;
  const tokens = new Map<string, (fresh: boolean) => Promise<AuthEntry>>();
  return {
    async lookup(repository, lookupOptions) {
      const entry = await configured.lookup(repository, lookupOptions);
      const host = parseEcrHost(repository.registry);
      if (!host || isLogin(entry)) return entry;
      let token = tokens.get(host.region);
      if (!token) {
        const client = clientFor(host.region);
        token = kept(() => readToken(client, host.region, clock.now()), clock);
        tokens.set(host.region, token);
      }
      // The role's token is sent only over TLS with a checked certificate, whatever is configured.
      const { insecure: _insecure, ...tls } = entry ?? {};
      return { ...tls, ...(await token(lookupOptions?.fresh === true)) };
    },
  };
}

/** Whether an entry says who asks, and not only how the registry is reached. */
export function isLogin(entry: AuthEntry | undefined): boolean {
  return (
    entry !== undefined && [entry.username, entry.registryToken, entry.identityToken].some((one) => one !== undefined)
  );
}

async function readToken(client: ECRClient, region: string, now: number): Promise<{ value: AuthEntry; until: number }> {
  const operation = `get a login for ECR in ${region}`;
  const output = await client.send(new GetAuthorizationTokenCommand({})).catch((error) => {
    throw awsError(operation, error);
  });
  return parseEcrLogin(operation, output.authorizationData?.[0], now);
}
