import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Auth, type AuthEntries, loadAuth } from '../../core/config/auth-file.ts';
import { decodeText } from '../../core/config/decode-text.ts';
import type { Credentials } from '../../core/model/credentials.ts';
import { configurationError, TranshipError } from '../../core/model/errors.ts';
import type { NotifyTarget } from '../../core/model/notify-target.ts';
import type { PlatformFilter, Rule, RuleSet, Schedule } from '../../core/model/rule.ts';
import { loadConfig, loadRulesAndLogins } from '../../core/rules/load-config.ts';
import { type LoadRulesOptions, loadRules } from '../../core/rules/load-rules.ts';
import { parsePlatformText } from '../../core/rules/platform-text.ts';
import { dockerCredentials } from '../../machine/credentials/docker-credentials.ts';
import { fileCredentials } from '../../machine/credentials/file-credentials.ts';
import { readPemFiles } from '../../machine/credentials/pem-files.ts';
import { homeDirectory } from '../../machine/home.ts';
import { createHttp } from '../../machine/logins/http.ts';
import { providerCredentials } from '../../machine/logins/provider-credentials.ts';
import { openWeb } from '../../machine/web.ts';
import type { Flags } from '../args/flags.ts';
import { version } from '../version.ts';
import { lookHere } from './file-look.ts';
import { type InputFile, type InputFiles, resolveFiles, resolveLogins } from './rule-files.ts';

/** What a command works on, read and checked: nothing has been asked of a registry yet. */
export interface Inputs {
  /** The rules file's path: what a run says started it. */
  file: string;
  rules: Rule[];
  /** By rule id. */
  schedules: Record<string, Schedule>;
  /** By rule id: its line in the file. */
  lines: Record<string, number>;
  credentials: Credentials;
  /** Empty unless they were asked for. */
  notify: NotifyTarget[];
  warnings: string[];
}

type Env = Record<string, string | undefined>;

/**
 * Reads rules and logins.
 * @param options.instead logins where no file has them; else Docker's own
 * @param options.notify whether the command tells anybody of failures
 * @throws TranshipError `configuration` that names file, line, column and the mend
 */
export async function readInputs(
  flags: Flags,
  env: Env,
  { instead, notify }: { instead?: Credentials; notify?: boolean } = {},
): Promise<Inputs> {
  const files = resolveFiles(flags, lookHere);
  const { path, kind } = files.rules;
  const options = {
    file: path,
    env,
    registry: flags.registry,
    namespace: flags.namespace,
    notify: notify ? ('read' as const) : undefined,
    readNamed: (name: string) => readNamed(path, name),
  };
  const text = await readText(path);
  const { rules, auth, logins } =
    kind === 'config' && files.logins?.path === path
      ? { ...loadConfig(text, options), logins: files.logins }
      : await readApart(text, files, options, flags);
  return {
    file: path,
    rules: withFlagPlatforms(rules.rules, flags),
    schedules: rules.schedules ?? {},
    lines: rules.lines,
    notify: rules.notify ?? [],
    credentials: await credentialsOf(
      auth,
      logins,
      env,
      instead ?? dockerCredentials({ env, homeDir: homeDirectory() }),
    ),
    warnings: [...files.warnings, ...rules.warnings, ...(auth?.warnings ?? [])],
  };
}

/** Rules, and logins of another file; unless a file that a flag names for its rules has logins, as `--config` takes it. */
async function readApart(
  text: string,
  { rules: { path, kind }, logins }: InputFiles,
  options: LoadRulesOptions,
  flags: Flags,
): Promise<{ rules: RuleSet; auth: Auth | undefined; logins: InputFile | undefined }> {
  const read: { rules: RuleSet; auth?: Auth } =
    kind === 'rules' && flags.auth === undefined
      ? loadRulesAndLogins(text, options)
      : { rules: loadRules(text, options) };
  if (read.auth !== undefined) return { rules: read.rules, auth: read.auth, logins: { path, kind: 'config' } };
  return { rules: read.rules, auth: await readLogins(logins, options.env), logins };
}

/** The logins alone, for a command that has its rules from the ledger. */
export async function readCredentials(
  flags: Flags,
  env: Env,
): Promise<{ credentials: Credentials; warnings: string[] }> {
  const { logins, warnings } = resolveLogins(flags, lookHere);
  const auth = await readLogins(logins, env);
  const docker = dockerCredentials({ env, homeDir: homeDirectory() });
  return {
    credentials: await credentialsOf(auth, logins, env, docker),
    warnings: [...warnings, ...(auth?.warnings ?? [])],
  };
}

async function readLogins(file: InputFile | undefined, env: Env): Promise<Auth | undefined> {
  if (file === undefined) return undefined;
  const text = await readText(file.path);
  return file.kind === 'config'
    ? loadConfig(text, { file: file.path, env }).auth
    : loadAuth(text, { file: file.path, env });
}

async function credentialsOf(
  auth: Auth | undefined,
  file: InputFile | undefined,
  env: Env,
  instead: Credentials,
): Promise<Credentials> {
  if (auth === undefined || file === undefined) return instead;
  const entries = await readNamedFiles(auth, file);
  const reread = async () => {
    const again = await readLogins(file, env);
    return again === undefined ? new Map() : readNamedFiles(again, file);
  };
  // A pipe, as of `--auth <(...)`, can be read only once.
  const isFile = statSync(file.path).isFile();
  const homeDir = homeDirectory();
  const http = createHttp(openWeb(`tranship/${version}`, () => {}));
  return providerCredentials(fileCredentials(entries, isFile ? reread : undefined), {
    http,
    env,
    homeDir,
    now: Date.now,
  });
}

/** The entries with their certificates read, and with whole paths of key files; paths start at the auth file. */
async function readNamedFiles(auth: Auth, file: InputFile): Promise<AuthEntries> {
  const directory = dirname(file.path);
  const entries = await readPemFiles(auth.entries, directory);
  return new Map(
    [...entries].map(([name, entry]) => [
      name,
      entry.keyFile === undefined ? entry : { ...entry, keyFile: resolve(directory, entry.keyFile) },
    ]),
  );
}

/** `--os` and `--arch` narrow every rule, as in image-syncer. */
export function withFlagPlatforms(rules: readonly Rule[], flags: Flags): Rule[] {
  const os = flags.os.map((text) => parsePlatformText('os', text));
  const arch = flags.arch.map((text) => parsePlatformText('arch', text));
  const narrow = (filter: PlatformFilter): PlatformFilter => ({
    ...filter,
    os: [...filter.os, ...os],
    arch: [...filter.arch, ...arch],
  });
  return rules.map((rule) => ({ ...rule, platforms: narrow(rule.platforms) }));
}

/** The text of a file that the rules name, by its path from the rules file. */
function readNamed(rulesFile: string, name: string): string {
  const path = resolve(dirname(rulesFile), name);
  try {
    return decodeText(readFileSync(path), path);
  } catch (cause) {
    if (cause instanceof TranshipError) throw cause;
    throw configurationError(`${path} cannot be read: ${whyNot(cause)}`, {
      mend: 'paths start at the rules file',
      cause,
    });
  }
}

/**
 * The text of a file that a flag names.
 * @throws TranshipError `configuration` where it cannot be read, or is not text
 */
export async function readText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw configurationError(`${path} cannot be read: ${whyNot(cause)}`, {
      place: { file: path },
      mend: 'Give the path of a file that this user may read.',
      cause,
    });
  }
  return decodeText(bytes, path);
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return { ENOENT: 'there is no such file', EISDIR: 'it is a directory', EACCES: 'this user may not' }[code] ?? code;
}
