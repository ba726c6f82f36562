import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { configurationError } from '../../core/model/errors.ts';
import { expandHome, homeDirectory } from '../home.ts';

/** What the choice of the state directory depends on. */
export interface StateDirectorySource {
  /** The value of `--state`. */
  flag?: string;
  env?: Record<string, string | undefined>;
  home?: string;
}

/**
 * Where queue and ledger of this machine are: `--state`, else `$TRANSHIP_STATE`, else `$XDG_STATE_HOME/tranship`, else
 * `~/.local/state/tranship`. An empty variable counts as unset, and so does an XDG directory that is not absolute.
 *
 * @returns an absolute path; nothing is created
 * @throws TranshipError `configuration` where it depends on a home directory and there is none
 * @see https://specifications.freedesktop.org/basedir-spec/latest/
 */
export function stateDirectory(source: StateDirectorySource = {}): string {
  const { flag, env = process.env, home = homeDirectory() } = source;
  const given = flag || env.TRANSHIP_STATE;
  if (given) return resolve(expandHome(given, home));
  const xdg = env.XDG_STATE_HOME;
  if (xdg && isAbsolute(xdg)) return join(xdg, 'tranship');
  if (home !== undefined) return join(home, '.local', 'state', 'tranship');
  throw configurationError('there is no home directory to keep the state in: HOME is not set', {
    mend: 'Give a directory with --state or TRANSHIP_STATE.',
  });
}

/**
 * Creates the directory, and the one for owners' locks in it, where they are missing, readable by its user alone: the
 * names of private repositories are in it.
 */
export function prepareStateDirectory(directory: string): void {
  makeDirectory(join(directory, 'owners'));
}

/** Not by Node's `recursive`, which says ENOENT for a read-only disk, and never ends below /proc. */
function makeDirectory(path: string): void {
  if (!existsSync(dirname(path))) makeDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
