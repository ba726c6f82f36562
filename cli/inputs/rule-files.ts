import type { SharedName } from '../../core/config/own-file.ts';
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

/** What may be known of the files here before one is chosen. */
export interface FileLook {
  /** Whether there is a file of this path, relative to the working directory. */
  exists(path: string): boolean;
  /** Whether a file with a name that many programs use is meant for this product. */
  isOwn(path: string, name: SharedName): boolean;
}

const spellings = (...stems: string[]) => stems.flatMap((stem) => endings.map((ending) => `${stem}.${ending}`));

/** In the order of preference. The last one is the default of image-syncer 1.0. */
const rulesNames = [...spellings('tranship', 'images', 'config'), 'image-syncer.json'];

/**
 * Which files a run reads: those of the flags, else those of the working directory with image-syncer's default names
 * (README, "Parameters") or tranship's own. Two that would serve are an error: copying by the wrong one is worse than
 * asking. Another program's `config.json` or `auth.json` is passed over with a warning.
 *
 * @throws TranshipError `configuration`
 */
export function resolveFiles(flags: FileFlags, look: FileLook): InputFiles {
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
    const file: InputFile = { path: findFile('config', flags.config, look.exists), kind: 'config' };
    return { rules: file, logins: file, warnings };
  }
  const rules = givenRules(flags, look) ?? foundRules(look, warnings);
  const logins =
    rules.kind === 'config' && flags.auth === undefined
      ? rules
      : (givenLogins(flags, look) ?? foundLogins(flags, look, warnings));
  return { rules, logins, warnings };
}

/** Whether the flags or the working directory have a rules file, for a command that can do without. */
export function hasRules(flags: FileFlags, look: FileLook): boolean {
  const isGiven = (flags.rules ?? flags.images ?? flags.config) !== undefined;
  return isGiven || ownRules(look, []).length > 0;
}

/**
 * Where the logins are for a command that reads no rules: the same file that {@link resolveFiles} would take them from.
 * @throws TranshipError `configuration`
 */
export function resolveLogins(flags: FileFlags, look: FileLook): Omit<InputFiles, 'rules'> {
  const warnings: string[] = [];
  const given = givenLogins(flags, look) ?? foundLogins(flags, look, warnings);
  if (given !== undefined || flags.auth !== undefined) return { logins: given, warnings };
  const [only, ...others] = ownRules(look, warnings);
  return { logins: only?.kind === 'config' && others.length === 0 ? only : undefined, warnings };
}

function givenRules(flags: FileFlags, { exists }: FileLook): InputFile | undefined {
  if (flags.rules !== undefined) return { path: findFile('rules', flags.rules, exists), kind: 'rules' };
  if (flags.images !== undefined) return { path: findFile('images', flags.images, exists), kind: 'rules' };
  return undefined;
}

function givenLogins(flags: FileFlags, { exists }: FileLook): InputFile | undefined {
  if (flags.config !== undefined) return { path: findFile('config', flags.config, exists), kind: 'config' };
  if (flags.auth) return { path: findFile('auth', flags.auth, exists), kind: 'logins' };
  return undefined;
}

function foundRules(look: FileLook, warnings: string[]): InputFile {
  const [file, ...others] = ownRules(look, warnings);
  if (file === undefined) {
    const mend = 'Give a file with --rules or --images, or put a tranship.yaml or images.yaml in this directory.';
    throw usage(['there are no rules to go by', ...warnings].join('; '), mend);
  }
  if (others.length > 0) {
    throw usage(
      `${[file, ...others].map(({ path }) => path).join(' and ')} are both here`,
      'Say which one to go by with --rules, --images or --config.',
    );
  }
  return file;
}

/** The rules files of the working directory. */
function ownRules({ exists, isOwn }: FileLook, warnings: string[]): InputFile[] {
  return rulesNames.filter(exists).flatMap((path): InputFile[] => {
    if (!path.startsWith('config.')) return [{ path, kind: path === 'image-syncer.json' ? 'config' : 'rules' }];
    if (isOwn(path, 'config')) return [{ path, kind: 'config' }];
    warnings.push(`${path} is passed over, as it has no rules or logins: if it is meant, give it with --config`);
    return [];
  });
}

/** `--auth=` without a value means those of Docker. */
function foundLogins(flags: FileFlags, { exists, isOwn }: FileLook, warnings: string[]): InputFile | undefined {
  if (flags.auth === '') return undefined;
  const found = spellings('auth').filter(exists);
  const [path, ...others] = found.filter((name) => {
    if (isOwn(name, 'auth')) return true;
    warnings.push(`${name} is passed over, as it has no logins by registry: if it is meant, give it with --auth`);
    return false;
  });
  if (others.length > 0)
    throw usage(`${[path, ...others].join(' and ')} are both here`, 'Say which one to use with --auth.');
  return path === undefined ? undefined : { path, kind: 'logins' };
}

function usage(message: string, mend: string): TranshipError {
  return configurationError(message, { mend });
}
