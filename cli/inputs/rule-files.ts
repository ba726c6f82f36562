import { configurationError, type TranshipError } from '../../core/model/errors.ts';
import type { Flags } from '../args/flags.ts';
import { endings, findFile } from './file-path.ts';

/**
 * `config` holds rules and logins both (image-syncer before 1.2); what a `rules` or `logins` file holds shows when it
 * is read.
 */
export interface InputFile {
  path: string;
  kind: 'config' | 'rules' | 'logins';
}

export interface InputFiles {
  rules: InputFile;
  /** Undefined: Docker's own logins, else anonymous access. */
  logins: InputFile | undefined;
  warnings: string[];
}

type FileFlags = Pick<Flags, 'config' | 'auth' | 'images' | 'rules'>;

const spellings = (...stems: string[]) => stems.flatMap((stem) => endings.map((ending) => `${stem}.${ending}`));

/**
 * Which files a run reads: those of the flags, else those of the working directory with image-syncer's default names
 * (README, "Parameters") or tranship's own. Two that would serve are an error: copying by the wrong one is worse than
 * asking.
 *
 * @param exists whether there is a file of this path, relative to the working directory
 * @throws TranshipError `configuration`
 */
export function resolveFiles(flags: FileFlags, exists: (path: string) => boolean): InputFiles {
  const warnings: string[] = [];
  if (flags.rules !== undefined && (flags.images ?? flags.config) !== undefined) {
    throw usage(
      `--rules and --${flags.images === undefined ? 'config' : 'images'} cannot be given together`,
      'Leave one out.',
    );
  }
  if (flags.config !== undefined) {
    for (const name of ['images', 'auth'] as const) {
      // image-syncer does the same without a word (pkg/client/config.go, NewSyncConfig).
      if (flags[name] !== undefined) warnings.push(`--${name} has no effect beside --config`);
    }
    const file: InputFile = { path: findFile('config', flags.config, exists), kind: 'config' };
    return { rules: file, logins: file, warnings };
  }
  const rules = givenRules(flags, exists) ?? foundRules(exists);
  if (rules.kind === 'config' && flags.auth === undefined) return { rules, logins: rules, warnings };
  return { rules, logins: givenLogins(flags, exists) ?? foundLogins(exists), warnings };
}

/** Whether the flags or the working directory have a rules file, for a command that can do without. */
export function hasRules(flags: FileFlags, exists: (path: string) => boolean): boolean {
  const isGiven = (flags.rules ?? flags.images ?? flags.config) !== undefined;
  return isGiven || spellings('tranship', 'images', 'config').some(exists);
}

/**
 * Where the logins are for a command that reads no rules: the same file that {@link resolveFiles} would take them from.
 * @throws TranshipError `configuration`
 */
export function resolveLogins(flags: FileFlags, exists: (path: string) => boolean): InputFile | undefined {
  const given = givenLogins(flags, exists) ?? foundLogins(exists);
  if (given !== undefined) return given;
  const rules = spellings('tranship', 'images', 'config').filter(exists);
  const [only] = rules;
  return rules.length === 1 && only?.startsWith('config.') ? { path: only, kind: 'config' } : undefined;
}

function givenRules(flags: FileFlags, exists: (path: string) => boolean): InputFile | undefined {
  if (flags.rules !== undefined) return { path: findFile('rules', flags.rules, exists), kind: 'rules' };
  if (flags.images !== undefined) return { path: findFile('images', flags.images, exists), kind: 'rules' };
  return undefined;
}

function givenLogins(flags: FileFlags, exists: (path: string) => boolean): InputFile | undefined {
  if (flags.config !== undefined) return { path: findFile('config', flags.config, exists), kind: 'config' };
  if (flags.auth !== undefined) return { path: findFile('auth', flags.auth, exists), kind: 'logins' };
  return undefined;
}

function foundRules(exists: (path: string) => boolean): InputFile {
  const [path, ...others] = spellings('tranship', 'images', 'config').filter(exists);
  if (path === undefined) {
    throw usage(
      'there are no rules to go by',
      'Give a file with --rules or --images, or put a tranship.yaml or images.yaml in this directory.',
    );
  }
  if (others.length > 0) {
    throw usage(
      `${[path, ...others].join(' and ')} are both here`,
      'Say which one to go by with --rules, --images or --config.',
    );
  }
  return { path, kind: path.startsWith('config.') ? 'config' : 'rules' };
}

function foundLogins(exists: (path: string) => boolean): InputFile | undefined {
  const [path, ...others] = spellings('auth').filter(exists);
  if (others.length > 0)
    throw usage(`${[path, ...others].join(' and ')} are both here`, 'Say which one to use with --auth.');
  return path === undefined ? undefined : { path, kind: 'logins' };
}

function usage(message: string, mend: string): TranshipError {
  return configurationError(message, { mend });
}
