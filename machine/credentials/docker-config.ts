import { normaliseAuthKey, withoutLineEnd } from '../../core/config/auth-file.ts';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { configurationError } from '../../core/model/errors.ts';

/** What matters of Docker's config.json, or of podman's auth.json, which has the same form. */
export interface DockerConfig {
  file: string;
  /** Logins as stored, by normalised `registry[/namespace…]`; decoded when they are asked for. */
  auths: Map<string, Record<string, unknown>>;
  /** Helpers by registry: `ecr-login` for `docker-credential-ecr-login`. */
  helpers: Map<string, string>;
  /** The helper for all registries without one of their own. */
  store: string | undefined;
}

/** A config of thousands of logins is smaller. */
const maxConfigLength = 4 * 1024 * 1024;

/**
 * Reads a Docker config file. The text, which holds passwords, is never part of an error.
 * @throws TranshipError `config-invalid`
 * @see https://github.com/docker/cli cli/config/configfile/file.go
 */
export function parseDockerConfig(file: string, text: string): DockerConfig {
  const root = parseObject(file, text);
  const auths: DockerConfig['auths'] = new Map();
  for (const [name, entry] of Object.entries(objectOf(root.auths))) {
    const key = normaliseAuthKey(name);
    // Docker writes https://index.docker.io/v1/, podman docker.io; where both are there, the one with a login counts.
    if (key !== undefined && Object.keys(objectOf(auths.get(key))).length === 0) auths.set(key, objectOf(entry));
  }
  const helpers = new Map<string, string>();
  for (const [name, helper] of Object.entries(objectOf(root.credHelpers))) {
    const key = normaliseAuthKey(name);
    if (key !== undefined && typeof helper === 'string' && helper !== '') helpers.set(key, helper);
  }
  const store = typeof root.credsStore === 'string' && root.credsStore !== '' ? root.credsStore : undefined;
  return { file, auths, helpers, store };
}

/**
 * The login stored under a normalised key; undefined where there is none, or only the empty mark of a credential store.
 * @throws TranshipError `config-invalid` where it cannot be decoded
 */
export function storedAuth(config: DockerConfig, key: string): AuthEntry | undefined {
  const stored = config.auths.get(key);
  if (stored === undefined) return undefined;
  const { auth, identitytoken, registrytoken } = stored;
  const login = typeof auth === 'string' && auth !== '' ? decodeLogin(config.file, key, auth) : stored;
  const entry: AuthEntry = {};
  if (typeof login.username === 'string' && login.username !== '') entry.username = login.username;
  if (typeof login.password === 'string' && login.password !== '') entry.password = login.password;
  if (typeof identitytoken === 'string' && identitytoken !== '') entry.identityToken = identitytoken;
  if (typeof registrytoken === 'string' && registrytoken !== '') entry.registryToken = registrytoken;
  const usable = entry.password ?? entry.identityToken ?? entry.registryToken;
  return usable === undefined ? undefined : entry;
}

function decodeLogin(file: string, key: string, auth: string): { username: string; password: string } {
  const text = withoutLineEnd(Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, ''));
  const colon = text.indexOf(':');
  if (colon < 1) {
    throw configurationError(`${file}: "auth" of ${key} is not the base64 of user:password`, {
      place: { file },
      mend: `log in to ${key} again`,
    });
  }
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function parseObject(file: string, text: string): Record<string, unknown> {
  const json = text.replace(/^\uFEFF/, '').trim();
  // As Docker: a file that was only created, or was emptied, holds no login.
  if (json === '' || json === 'null') return {};
  let value: unknown;
  try {
    if (text.length <= maxConfigLength) value = JSON.parse(json);
  } catch {
    // Told below, without the parser's message: it quotes the text.
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw configurationError(`${file} is not a JSON object, as Docker's config file must be`, {
    place: { file },
    mend: 'mend it, or name an auth file with --auth',
  });
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
