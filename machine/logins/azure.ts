import { readFile } from 'node:fs/promises';
import { decodeJwt } from 'jose';
import * as v from 'valibot';
import type { AuthEntry } from '../../core/model/credentials.ts';
import type { Repository } from '../../core/model/reference.ts';
import { askJson, type LoginContext, noLogin, renewalAfter, type ShortLogin } from './login.ts';

const operation = 'get a login for Azure';
const resource = 'https://containerregistry.azure.net';
const where =
  'set AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE, or give the machine a managed identity';
const rights = 'check the identity: does it exist, and has it a role at the registry (AcrPull, AcrPush)?';

const text = v.pipe(v.string(), v.minLength(1));
const accessToken = v.object({ access_token: text });
const refreshToken = v.object({ refresh_token: text });

/**
 * A login to one Azure registry, good for some hours: an Entra token of a service principal, of a workload's federated
 * token or of the machine's managed identity, exchanged at the registry for a refresh token of its own.
 *
 * https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
 */
export async function azureLogin(
  { clientId }: AuthEntry,
  { registry }: Repository,
  context: LoginContext,
): Promise<ShortLogin> {
  const { env, now } = context;
  const entra = await entraToken(clientId, context);
  const form = {
    grant_type: 'access_token',
    service: registry,
    ...(env.AZURE_TENANT_ID && { tenant: env.AZURE_TENANT_ID }),
    access_token: entra,
  };
  const answer = await askJson(
    context,
    { url: `https://${registry}/oauth2/exchange`, form },
    { operation, schema: refreshToken, mend: rights },
  );
  return {
    value: { identityToken: answer.refresh_token },
    until: renewalAfter(lifetimeOf(answer.refresh_token, now()), now()),
  };
}

/** Seconds that a refresh token lasts, by what it says itself; an hour where it does not. */
function lifetimeOf(refresh: string, now: number): number {
  try {
    return (decodeJwt(refresh).exp ?? 0) - now / 1000 || 3600;
  } catch {
    return 3600;
  }
}

async function entraToken(clientId: string | undefined, context: LoginContext): Promise<string> {
  const { env } = context;
  const { AZURE_TENANT_ID: tenant, AZURE_CLIENT_ID: client, AZURE_CLIENT_SECRET: secret } = env;
  const { AZURE_FEDERATED_TOKEN_FILE: tokenFile, IDENTITY_ENDPOINT: endpoint, IDENTITY_HEADER: header } = env;
  const options = { operation, schema: accessToken, mend: rights };
  if (tenant && client && (secret || tokenFile)) {
    const authority = env.AZURE_AUTHORITY_HOST || 'https://login.microsoftonline.com/';
    const url = new URL(`${encodeURIComponent(tenant)}/oauth2/v2.0/token`, authority);
    if (url.protocol !== 'https:') throw noLogin(operation, 'AZURE_AUTHORITY_HOST is not https', where);
    const proof: Record<string, string> = secret
      ? { client_secret: secret }
      : {
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: await readToken(tokenFile ?? ''),
        };
    const form = { grant_type: 'client_credentials', client_id: client, scope: `${resource}/.default`, ...proof };
    return (await askJson(context, { url: url.href, form }, options)).access_token;
  }
  const query = new URLSearchParams({ resource, ...(clientId && { client_id: clientId }) });
  if (endpoint && header) {
    query.set('api-version', '2019-08-01');
    const request = { url: `${endpoint}?${query}`, headers: { 'x-identity-header': header }, isLocal: true };
    return (await askJson(context, request, options)).access_token;
  }
  query.set('api-version', '2018-02-01');
  const url = `http://169.254.169.254/metadata/identity/oauth2/token?${query}`;
  try {
    return (await askJson(context, { url, headers: { metadata: 'true' }, isLocal: true }, options)).access_token;
  } catch (error) {
    if (Object(error).code !== 'network') throw error;
    throw noLogin(operation, 'no identity is set, and this is no machine at Azure', where);
  }
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw noLogin(operation, `${path} cannot be read (${code})`, 'AZURE_FEDERATED_TOKEN_FILE names it');
  }
}
