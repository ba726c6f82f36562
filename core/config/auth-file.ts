import { type AuthEntry, type LoginProvider, loginProviders } from '../model/credentials.ts';
import { quote } from '../model/quote.ts';
import {
  isRegistryName,
  isRepositoryName,
  looksLikeRegistry,
  normaliseRegistry,
  type Repository,
} from '../model/reference.ts';
import { type Vendor, vendorByName } from '../registry/vendors/vendor.ts';
import { type Env, expandEnv, wholeVariable } from './expand-env.ts';
import { recogniseFile } from './known-files.ts';
import { isEmpty, type Located } from './located.ts';
import { nearestKey } from './nearest-key.ts';
import { parseLocated } from './parse-located.ts';
import { attempt, openFile, report, throwProblems, type UserFile, warn } from './problems.ts';

/** Logins by normalised `registry[/namespace…]`. */
export type AuthEntries = ReadonlyMap<string, AuthEntry>;

/** What an auth file says. In `entries`, `ca`, `cert` and `key` are PEM text or the path of a PEM file, as written. */
export interface Auth {
  entries: AuthEntries;
  warnings: string[];
}

export interface LoadAuthOptions {
  /** Name for messages. */
  file: string;
  /** Variables for `$VAR` in values. */
  env: Env;
}

const loginKeys = ['username', 'password', 'identityToken', 'registryToken'] as const;
const providerKeys = ['profile', 'keyFile', 'clientId'] as const;
const textKeys = [...loginKeys, 'ca', 'cert', 'key', ...providerKeys] as const;
const authMend = 'write registry: and below it username: and password:';
const keys = [...textKeys, 'provider', 'insecure'] as const;

/**
 * Reads an auth file in YAML or JSON: a map of registry, or registry/namespace, to a login. `$VAR` and `${VAR}` are put
 * in. No message holds a value of the file.
 *
 * @throws TranshipError `config-invalid` with everything that is wrong, each as `file:line:column: what — mend`
 * @see https://github.com/AliyunContainerService/image-syncer README.md, "Authentication file"
 */
export function loadAuth(text: string, options: LoadAuthOptions): Auth {
  const file = openFile(options.file);
  const root = parseLocated(file, text);
  // Cut off while it was written, more likely than meant.
  if (root === undefined) report(file, 0, 'the auth file is empty', 'write {} where there are no logins');
  const known = root && recogniseFile(root);
  if (known !== undefined && known.kind !== 'logins') {
    report(file, 0, `this is ${known.name}, and not an auth file`, known.kind === 'tool' ? authMend : known.mend);
    throwProblems(file);
  }
  const auth = authOf(file, root, (value) => expandAuthValue(value, options.env));
  throwProblems(file);
  if (root !== undefined && isEmpty(root)) file.warnings.push(`${file.name}: there are no logins in the file`);
  return auth;
}

/**
 * NVIDIA's user name for API keys, as its docs write it.
 * @see https://docs.nvidia.com/nemo/retriever/extraction/ngc-api-key
 */
const nvidiaUser = '$oauthtoken';

function expandAuthValue(value: string, env: Env): string {
  if (value === nvidiaUser && env.oauthtoken === undefined) return value;
  return expandEnv(value, env, { secret: true });
}

/**
 * How values of image-syncer's older config file are read. It never expanded them, so a dollar in a password is a
 * dollar; but a value that is nothing but the name of a variable that is set means the variable.
 */
export function expandConfigValue(value: string, env: Env): string {
  const name = wholeVariable(value);
  return (name === undefined ? undefined : env[name]) ?? value;
}

/** The logins of a parsed map; what is wrong is noted in `file`. */
export function authOf(file: UserFile, root: Located | undefined, expand: (value: string) => string): Auth {
  const entries = new Map<string, AuthEntry>();
  const auth = { entries, warnings: file.warnings };
  if (root === undefined || isEmpty(root)) return auth;
  if (root.kind !== 'map') {
    report(file, root.offset, 'an auth file is a map', authMend);
    return auth;
  }
  for (const [name, { keyOffset, value }] of root.entries) {
    const tell = (what: string): void => warn(file, keyOffset, what);
    const registry = normaliseAuthKey(name);
    const entry = readEntry(file, name, value, { expand, warn: tell });
    if (registry === undefined) {
      report(file, keyOffset, `${quote(name)} is not a registry or a namespace of one`, 'write it like quay.io/coreos');
    } else if (entries.has(registry)) {
      tell(`${quote(name)} means ${registry}, which has a login above: that one is used`);
    } else if (entry !== undefined) {
      checkProvider(file, { name, registry, offset: value.offset }, entry);
      entries.set(registry, entry);
    }
  }
  return auth;
}

/** The login of the longest configured `registry[/namespace…]` that holds the repository, by whole path segments. */
export function findAuth(entries: AuthEntries, repository: Repository): AuthEntry | undefined {
  let name = `${repository.registry}/${repository.repository}`;
  for (;;) {
    const entry = entries.get(name);
    if (entry !== undefined) return entry;
    const slash = name.lastIndexOf('/');
    if (slash === -1) return undefined;
    name = name.slice(0, slash);
  }
}

/**
 * The normalised form of a registry, or a namespace of one, as people and Docker write it: `quay.io/coreos`,
 * `docker.io`, `https://index.docker.io/v1/`, `library` (of Docker Hub). Undefined where it is neither.
 */
export function normaliseAuthKey(text: string): string | undefined {
  const bare = text.replace(/^https?:\/\//i, '').replace(/\/+$/, '');
  const [first = '', ...rest] = bare.split('/');
  const isHost = looksLikeRegistry(first);
  const path = isHost ? rest.join('/') : bare;
  const registry = isHost ? normaliseRegistry(first) : 'docker.io';
  if (!isRegistryName(registry)) return undefined;
  // Docker writes the API's path into the names of its own registry and of some others.
  if (path === '' || path === 'v1' || path === 'v2') return isHost ? registry : undefined;
  return isRepositoryName(path) ? `${registry}/${path}` : undefined;
}

/**
 * A login has no control characters (RFC 7617), but files, `echo | base64`, YAML's `|` and Kubernetes secrets put a line
 * end after it.
 */
export function withoutLineEnd(text: string): string {
  return text.replace(/[\r\n]+$/, '');
}

function readEntry(
  file: UserFile,
  name: string,
  node: Located,
  options: { expand: (value: string) => string; warn: (what: string) => void },
): AuthEntry | undefined {
  if (isEmpty(node)) return {};
  if (node.kind !== 'map') {
    report(file, node.offset, `the login of ${quote(name)} must be a map`, 'write username: and password: below it');
    return undefined;
  }
  const entry: AuthEntry = {};
  for (const [written, { keyOffset, value }] of node.entries) {
    // Go's JSON decoder, which image-syncer reads these files by, takes keys in any case.
    const key = keys.find((known) => known.toLowerCase() === written.toLowerCase());
    if (key === undefined) {
      report(file, keyOffset, `unknown key ${quote(written)}`, nearestKey(written, [...keys]));
    } else if (key === 'insecure') {
      entry.insecure = readFlag(file, value);
    } else if (key === 'provider') {
      entry.provider = readProvider(file, value);
    } else {
      const text = withoutLineEnd(readText(file, { name, key }, value, options.expand));
      if (text !== '') entry[key] = text;
      // A password may look so.
      if (/^\$?\{\{.*\}\}$/.test(text))
        options.warn(`${key} of ${quote(name)} looks like a template that was not filled in`);
    }
  }
  if ((entry.cert === undefined) !== (entry.key === undefined)) {
    report(file, node.offset, `the login of ${quote(name)} has one of cert and key`, 'a client certificate needs both');
  }
  if ((entry.username === undefined) !== (entry.password === undefined)) {
    const missing = entry.username === undefined ? 'username' : 'password';
    options.warn(`the login of ${quote(name)} has no ${missing}, so access is anonymous`);
    delete entry.username;
    delete entry.password;
  }
  return entry;
}

function readProvider(file: UserFile, node: Located): LoginProvider | undefined {
  const text = node.kind === 'scalar' ? node.text.toLowerCase() : '';
  const provider = loginProviders.find((known) => known === text);
  if (provider === undefined) {
    report(file, node.offset, `${quote(text)} is no provider of logins`, nearestKey(text, [...loginProviders]));
  }
  return provider;
}

/** Which registries a provider has logins for, and what else an entry may say of it. */
const providers: Record<LoginProvider, { vendor: Vendor; key: keyof AuthEntry; registries: string }> = {
  ecr: { vendor: 'ecr', key: 'profile', registries: 'private registries of Amazon ECR, and public.ecr.aws' },
  google: { vendor: 'google', key: 'keyFile', registries: 'gcr.io and *-docker.pkg.dev' },
  azure: { vendor: 'acr', key: 'clientId', registries: '*.azurecr.io' },
};

/** A provider's login goes to its own registries only, and stands in the place of any other. */
function checkProvider(
  file: UserFile,
  { name, registry, offset }: { name: string; registry: string; offset: number },
  entry: AuthEntry,
): void {
  const { provider } = entry;
  const known = provider && providers[provider];
  for (const key of providerKeys) {
    if (entry[key] === undefined || known?.key === key) continue;
    const owner = loginProviders.find((one) => providers[one].key === key);
    report(
      file,
      offset,
      `the login of ${quote(name)} has ${key} without its provider`,
      `write provider: ${owner}, too`,
    );
  }
  if (known === undefined) return;
  const host = registry.split('/')[0] ?? '';
  if (vendorByName(host) !== known.vendor && !(provider === 'ecr' && host === 'public.ecr.aws')) {
    report(file, offset, `the provider ${provider} has no login for ${quote(name)}`, `it is for ${known.registries}`);
  }
  const login = loginKeys.find((key) => entry[key] !== undefined);
  if (login !== undefined || entry.insecure === true) {
    const other = login ?? 'insecure: true';
    report(file, offset, `the login of ${quote(name)} has both provider and ${other}`, 'keep one of the two');
  }
}

function readText(
  file: UserFile,
  what: { name: string; key: string },
  node: Located,
  expand: (value: string) => string,
): string {
  if (node.kind !== 'scalar') {
    report(file, node.offset, `${what.key} of ${quote(what.name)} must be text`);
    return '';
  }
  // `null` has a text, which is no login.
  return isEmpty(node) ? '' : (attempt(file, node.offset, () => expand(node.text)) ?? '');
}

/** A truth value in the spellings of YAML 1.1, which image-syncer's parser takes. */
function readFlag(file: UserFile, node: Located): boolean {
  const text = node.kind === 'scalar' ? node.text.toLowerCase() : '?';
  if (['true', 'yes', 'on', 'y'].includes(text)) return true;
  if (!['false', 'no', 'off', 'n', '', 'null', '~'].includes(text)) {
    report(file, node.offset, 'insecure must be true or false');
  }
  return false;
}
