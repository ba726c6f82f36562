import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getuid } from 'node:process';
import type { Env } from '../../core/config/expand-env.ts';
import type { AuthEntry, Credentials } from '../../core/model/credentials.ts';
import { dockerHub, formatRepository, type Repository } from '../../core/model/reference.ts';
import { type DockerConfig, parseDockerConfig, storedAuth } from './docker-config.ts';
import { askHelper, type HelperAnswer } from './docker-helper.ts';

export interface DockerCredentialsOptions {
  /** For the variables that name files, and as the helpers' environment. */
  env: Env;
  /** Undefined where the user has none. */
  homeDir?: string;
  /**
   * How long files and helpers' answers are kept. The shortest-lived ones, of cloud registries, last an hour or more.
   */
  cacheMs?: number;
  helperTimeoutMs?: number;
}

/** The name that Docker Hub's login is stored under (docker/cli registry.IndexServer). */
const hubServer = 'https://index.docker.io/v1/';

/**
 * Logins as Docker and Podman have them, from the first of these that has one: `$REGISTRY_AUTH_FILE`; the JSON in
 * `$DOCKER_AUTH_CONFIG`; `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`;
 * `$XDG_RUNTIME_DIR/containers/auth.json` (without the variable `/run/containers/UID/auth.json`);
 * `$XDG_CONFIG_HOME/containers/auth.json` or `~/.config/containers/auth.json`. In each, a helper of the registry comes
 * first, then stored namespaces from the longest, then the credential store, then the stored registry.
 *
 * A file that cannot be read and a helper that is not installed are warned of; access goes on without their logins.
 *
 * @throws TranshipError (from `lookup`) `config-invalid` for a file that is not JSON, or what {@link askHelper} fails
 *   with
 * @see https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
 */
export function dockerCredentials(options: DockerCredentialsOptions): Credentials {
  const cacheMs = options.cacheMs ?? 10 * 60_000;
  const sources = cached(cacheMs, () => readConfigs(options));
  const answers = cached(cacheMs, (key: string) => {
    const slash = key.indexOf('/');
    const [helper, registry] = [key.slice(0, slash), key.slice(slash + 1)];
    return askHelper(helper, registry === dockerHub ? hubServer : registry, {
      env: options.env,
      timeoutMs: options.helperTimeoutMs ?? 30_000,
    });
  });
  return {
    async lookup(repository, { fresh = false, warn = () => {} } = {}) {
      const { configs, warnings } = await sources('', fresh);
      for (const warning of warnings) warn(warning);
      for (const config of configs) {
        const ask = (helper: string) => answers(`${helper}/${repository.registry}`, fresh);
        const entry = await lookupIn(config, repository, ask, warn);
        if (entry !== undefined) return entry;
      }
      return undefined;
    },
  };
}

async function lookupIn(
  config: DockerConfig,
  repository: Repository,
  ask: (helper: string) => Promise<HelperAnswer>,
  warn: (message: string) => void,
): Promise<AuthEntry | undefined> {
  const { registry } = repository;
  const askOrWarn = async (helper: string): Promise<HelperAnswer> => {
    const answer = await ask(helper);
    if (answer.kind === 'missing') warn(missingHelper(config, helper, answer.why));
    return answer;
  };
  const helper = config.helpers.get(registry);
  const helped = helper === undefined ? undefined : await askOrWarn(helper);
  if (helped?.kind === 'login') return helped.entry;
  for (let name = formatRepository(repository); name !== registry; name = name.slice(0, name.lastIndexOf('/'))) {
    const stored = storedAuth(config, name);
    if (stored !== undefined) return stored;
  }
  const fromStore = config.store === undefined || helper !== undefined ? undefined : await askOrWarn(config.store);
  if (fromStore?.kind === 'login') return fromStore.entry;
  const stored = storedAuth(config, registry);
  // A store is for all registries, public ones too; a helper was named for this one.
  if (stored === undefined && helped?.kind === 'none') {
    warn(`docker-credential-${helper}, which ${config.file} names for ${registry}, has no login for it`);
  }
  return stored;
}

function missingHelper({ file }: DockerConfig, helper: string, why: string): string {
  return (
    `the credential helper docker-credential-${helper}, which ${file} names, ${why}: ` +
    'registries are asked without its logins. Install it, or take it out of the file'
  );
}

async function readConfigs(
  options: DockerCredentialsOptions,
): Promise<{ configs: DockerConfig[]; warnings: string[] }> {
  const { DOCKER_AUTH_CONFIG: inline, REGISTRY_AUTH_FILE: named } = options.env;
  const warnings: string[] = [];
  const read = async (file: string): Promise<DockerConfig[]> => {
    const text = await readIfThere(file, warnings);
    return text === undefined ? [] : [parseDockerConfig(file, text)];
  };
  const configs = await Promise.all([
    ...(named ? [read(named)] : []),
    ...(inline ? [[parseDockerConfig('DOCKER_AUTH_CONFIG', inline)]] : []),
    ...filesOf(options).map(read),
  ]);
  return { configs: configs.flat(), warnings };
}

function filesOf({ env, homeDir }: DockerCredentialsOptions): string[] {
  const docker = env.DOCKER_CONFIG || (homeDir && join(homeDir, '.docker'));
  const runtime = env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'containers') : `/run/containers/${getuid?.()}`;
  const config = env.XDG_CONFIG_HOME || (homeDir && join(homeDir, '.config'));
  return [
    ...(docker ? [join(docker, 'config.json')] : []),
    join(runtime, 'auth.json'),
    ...(config ? [join(config, 'containers', 'auth.json')] : []),
  ];
}

async function readIfThere(file: string, warnings: string[]): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    // As with Docker: public images need no login, and a home of another user's is common in containers.
    if (code !== 'ENOENT' && code !== 'ENOTDIR') {
      warnings.push(`${file} cannot be read (${code}): registries are asked without its logins`);
    }
    return undefined;
  }
}

/** How long a failure is kept: a helper that hangs is waited for once, not by each request in turn. */
const FAILURE_MS = 60_000;

/**
 * `load` with its results kept for `ttlMs`, failures for {@link FAILURE_MS}. Calls at one time share one load, also
 * those that ask for a fresh one: sixteen connections that are refused together start one helper, not sixteen.
 */
function cached<T>(ttlMs: number, load: (key: string) => Promise<T>): (key: string, fresh: boolean) => Promise<T> {
  /** `until` is epoch ms, undefined while it loads. */
  const entries = new Map<string, { value: Promise<T>; until: number | undefined }>();
  return (key, fresh) => {
    const known = entries.get(key);
    if (known !== undefined && (known.until === undefined || (!fresh && Date.now() < known.until))) return known.value;
    const entry: { value: Promise<T>; until: number | undefined } = { value: load(key), until: undefined };
    entries.set(key, entry);
    const keepFor = (ms: number) => () => {
      entry.until = Date.now() + ms;
    };
    entry.value.then(keepFor(ttlMs), keepFor(FAILURE_MS));
    return entry.value;
  };
}
