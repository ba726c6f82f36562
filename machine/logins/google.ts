import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { importPKCS8, SignJWT } from 'jose';
import * as v from 'valibot';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { askJson, type LoginContext, noLogin, renewalAfter, type ShortLogin } from './login.ts';

const operation = 'get a login for Google';
const scope = 'https://www.googleapis.com/auth/cloud-platform';
const tokenUrl = 'https://oauth2.googleapis.com/token';
const metadataUrl = 'http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token';
const where =
  'name a key file in keyFile or GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login';

const text = v.pipe(v.string(), v.minLength(1));
const token = v.object({ access_token: text, expires_in: v.optional(v.unknown()) });
const serviceAccount = v.object({
  type: v.literal('service_account'),
  client_email: text,
  private_key: text,
  private_key_id: v.optional(text),
});
const user = v.object({
  type: v.literal('authorized_user'),
  client_id: text,
  client_secret: text,
  refresh_token: text,
});

/**
 * A login to Google's registries, good for an hour: by a key file of a service account, by the user's own login of
 * `gcloud`, or by the metadata server of a machine at Google, in the order in which Google's own libraries look for them.
 * The exchange is one request, so no library of Google's is needed for it.
 *
 * https://cloud.google.com/artifact-registry/docs/docker/authentication#token
 * https://developers.google.com/identity/protocols/oauth2/service-account#httprest
 */
export async function googleLogin({ keyFile }: AuthEntry, context: LoginContext): Promise<ShortLogin> {
  const { env, homeDir } = context;
  const named = keyFile ?? (env.GOOGLE_APPLICATION_CREDENTIALS || undefined);
  const usual = homeDir && join(homeDir, '.config', 'gcloud', 'application_default_credentials.json');
  const key = named === undefined ? usual && (await readKey(usual, true)) : await readKey(named, false);
  const answer = await (key ? tokenByKey(key, context) : tokenByMachine(context));
  return {
    value: { username: 'oauth2accesstoken', password: answer.access_token },
    until: renewalAfter(answer.expires_in, context.now()),
  };
}

type Key = v.InferOutput<typeof serviceAccount> | v.InferOutput<typeof user>;

async function readKey(path: string, mayBeMissing: boolean): Promise<Key | undefined> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (mayBeMissing && (code === 'ENOENT' || code === 'ENOTDIR')) return undefined;
    throw noLogin(operation, `${path} cannot be read (${code})`, where);
  }
  let document: unknown;
  try {
    document = JSON.parse(content);
  } catch {
    throw noLogin(operation, `${path} is not JSON`, where);
  }
  const result = v.safeParse(v.variant('type', [serviceAccount, user]), document);
  if (result.success) return result.output;
  const { type } = Object(document);
  const kind = typeof type === 'string' && /^[a-z_]{1,40}$/.test(type) ? `of type ${type}` : 'no key of Google';
  throw noLogin(operation, `${path} is ${kind}, which cannot be used`, where);
}

async function tokenByKey(key: Key, context: LoginContext) {
  const options = { operation, schema: token, mend: 'check the key: is it still valid, and its account enabled?' };
  if (key.type === 'authorized_user') {
    const { client_id, client_secret, refresh_token } = key;
    const form = { grant_type: 'refresh_token', client_id, client_secret, refresh_token };
    return askJson(
      context,
      { url: tokenUrl, form },
      { ...options, mend: 'run: gcloud auth application-default login' },
    );
  }
  const issuedAt = Math.floor(context.now() / 1000);
  const signer = await importPKCS8(key.private_key, 'RS256').catch(() => {
    throw noLogin(operation, `the key of ${key.client_email} cannot be read`, where);
  });
  // Google's token service alone is asked, whatever the file says of it.
  const assertion = await new SignJWT({ scope })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: key.private_key_id })
    .setIssuer(key.client_email)
    .setAudience(tokenUrl)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + 3600)
    .sign(signer);
  const form = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion };
  return askJson(context, { url: tokenUrl, form }, options);
}

/** https://cloud.google.com/compute/docs/access/authenticate-workloads#applications */
async function tokenByMachine(context: LoginContext) {
  const request = { url: metadataUrl, headers: { 'metadata-flavor': 'Google' }, isLocal: true };
  const mend = 'give the machine a service account that may use the registry';
  try {
    return await askJson(context, request, { operation, schema: token, mend });
  } catch (error) {
    if (Object(error).code !== 'network') throw error;
    throw noLogin(operation, 'there is no key file, and this is no machine at Google', where);
  }
}
