import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Env } from '../../core/config/expand-env.ts';
import type { AuthEntry, Credentials } from '../../core/model/credentials.ts';
import { configurationError } from '../../core/model/errors.ts';
import { dockerHub, formatRepository, type Repository } from '../../core/model/reference.ts';
import { type DockerConfig, parseDockerConfig, storedAuth } from './docker-config.ts';
import { askHelper } from './docker-helper.ts';

export interface DockerCredentialsOptions {
  /** For DOCKER_CONFIG, XDG_RUNTIME_DIR, and as the helpers' environment. */
  env: Env;
  /** Undefined where the user has none. */
  homeDir?: string;
  /** How long files and helpers' answers are kept. The shortest-lived ones, of cloud registries, last an hour or more. */
  cacheMs?: number;
  helperTimeoutMs?: number;
}

/** The name that Docker Hub's login is stored under (docker/cli registry.IndexServer). */
const hubServer = 'https://index.docker.io/v1/';

/**
 * Logins as Docker has them: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, with credential helpers and stores; then
 * podman's `$XDG_RUNTIME_DIR/containers/auth.json`. In each, a helper of the registry comes first, then stored namespaces
 * from the longest, then the credential store, then the stored registry.
 */
export function dockerCredentials(options: DockerCredentialsOptions): Credentials {
  const cacheMs = options.cacheMs ?? 10 * 60_000;
  const configs = cached(cacheMs, () => readConfigs(options));
  const helped = cached(cacheMs, (key: string) => {
    const slash = key.indexOf('/');
    const [helper, registry] = [key.slice(0, slash), key.slice(slash + 1)];
    return askHelper(helper, registry === dockerHub ? hubServer : registry, {
      env: options.env,
      timeoutMs: options.helperTimeoutMs ?? 30_000,
    });
  });
  return {
    async lookup(repository, { fresh = false } = {}) {
      const ask = (helper: string) => helped(`${helper}/${repository.registry}`, fresh);
      for (const config of await configs('', fresh)) {
        const entry = await lookupIn(config, repository, ask);
        if (entry !== undefined) return entry;
      }
      return undefined;
    },
  };
}

async function lookupIn(
  config: DockerConfig,
  repository: Repository,
  ask: (helper: string) => Promise<AuthEntry | undefined>,
): Promise<AuthEntry | undefined> {
  const { registry } = repository;
  const helper = config.helpers.get(registry);
  const helped = helper === undefined ? undefined : await ask(helper);
  if (helped !== undefined) return helped;
  for (let name = formatRepository(repository); name !== registry; name = name.slice(0, name.lastIndexOf('/'))) {
    const stored = storedAuth(config, name);
    if (stored !== undefined) return stored;
  }
  const fromStore = config.store === undefined || helper !== undefined ? undefined : await ask(config.store);
  return fromStore ?? storedAuth(config, registry);
}

async function readConfigs({ env, homeDir }: DockerCredentialsOptions): Promise<DockerConfig[]> {
  const directory = env.DOCKER_CONFIG || (homeDir && join(homeDir, '.docker'));
  const files = directory ? [join(directory, 'config.json')] : [];
  if (env.XDG_RUNTIME_DIR) files.push(join(env.XDG_RUNTIME_DIR, 'containers', 'auth.json'));
  const texts = await Promise.all(files.map(readIfThere));
  return texts.flatMap((text, at) => (text === undefined ? [] : [parseDockerConfig(files[at] ?? '', text)]));
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOENT', 'ENOTDIR'].includes(code)) return undefined;
    throw configurationError(`${file} cannot be read (${code})`, {
      place: { file },
    });
  }
}

/**
 * `load` with its results kept for `ttlMs`, failures not kept. Calls at one time share one load, also those that ask for a fresh
 * one: sixteen connections that are refused together start one helper, not sixteen.
 */
function cached<T>(ttlMs: number, load: (key: string) => Promise<T>): (key: string, fresh: boolean) => Promise<T> {
  const entries = new Map<string, { value: Promise<T>; loadedAt: number | undefined }>();
  return (key, fresh) => {
    const known = entries.get(key);
    if (known !== undefined && (known.loadedAt === undefined || (!fresh && Date.now() - known.loadedAt < ttlMs))) {
      return known.value;
    }
    const entry: { value: Promise<T>; loadedAt: number | undefined } = { value: load(key), loadedAt: undefined };
    entries.set(key, entry);
    entry.value.then(
      () => {
        entry.loadedAt = Date.now();
      },
      () => entries.delete(key),
    );
    return entry.value;
  };
}
