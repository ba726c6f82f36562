import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { type Auth, findAuth, loadAuth } from '../../core/config/auth-file.ts';
import type { AuthEntry, Credentials } from '../../core/model/credentials.ts';
import { configurationError, TranshipError } from '../../core/model/errors.ts';
import { type Clock, kept } from '../../core/model/kept.ts';
import { awsError } from './errors.ts';

/** A new password is used after this time at the latest, and at once when a registry refuses the old one. */
const KEEP_MS = 5 * 60_000;

/**
 * Logins from Secrets Manager. Each secret is an auth file with one login or many; when two secrets have a login for the
 * same name, the later one wins. There are no variables in them: a dollar in a password is written `$$`.
 *
 * @param options.secretIds names or ARNs
 * @throws TranshipError (from `lookup`) `not-found` or `config-invalid` naming the secret, never what is in it
 */
export function createSecretCredentials(options: {
  client: SecretsManagerClient;
  secretIds: string[];
  warn: (message: string) => void;
  clock?: Clock;
}): Credentials {
  const { client, secretIds, warn, clock = { now: Date.now } } = options;
  const logins = kept(async () => {
    const auths = await Promise.all(secretIds.map((id) => readSecret(client, id)));
    for (const warning of auths.flatMap((auth) => auth.warnings)) warn(warning);
    return { value: new Map(auths.flatMap((auth) => [...auth.entries])), until: clock.now() + KEEP_MS };
  }, clock);
  return {
    async lookup(repository, { fresh = false } = {}) {
      return findAuth(await logins(fresh), repository);
    },
  };
}

async function readSecret(client: SecretsManagerClient, id: string): Promise<Auth> {
  const output = await client.send(new GetSecretValueCommand({ SecretId: id })).catch((error) => {
    throw awsError(`read secret ${id}`, error);
  });
  if (output.SecretString === undefined) throw unusable(id, 'it holds no text');
  let auth: Auth;
  try {
    auth = loadAuth(output.SecretString, { file: `secret ${id}`, env: {} });
  } catch (error) {
    // Messages of the auth file's reader hold no values. Those of other errors might, and so might a cause.
    if (error instanceof TranshipError) throw unusable(id, error.message);
    throw unusable(id, 'it is not an auth file');
  }
  for (const [name, entry] of auth.entries) {
    if (entry.provider !== undefined) throw unusable(id, `${name} has a provider, which a secret cannot have`);
    const field = (['ca', 'cert', 'key'] as const).find((key) => !isPem(entry[key]));
    if (field) throw unusable(id, `${field} of ${name} is not PEM text`);
  }
  return auth;
}

function isPem(text: AuthEntry['ca']): boolean {
  return text === undefined || text.trimStart().startsWith('-----BEGIN ');
}

function unusable(id: string, why: string): TranshipError {
  return configurationError(`secret ${id} cannot be used: ${why}`, {
    operation: 'read secret',
    mend: 'its value is to be an auth file in JSON or YAML: {"registry.example": {"username": …, "password": …}}',
  });
}
