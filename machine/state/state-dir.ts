import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { configurationError } from '../../core/model/errors.ts';

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
 * @see https://specifications.freedesktop.org/basedir-spec/latest/
 */
export function stateDirectory(source: StateDirectorySource = {}): string {
  const { flag, env = process.env, home = homedir() } = source;
  const given = flag || env.TRANSHIP_STATE;
  if (given) return resolve(given);
  const xdg = env.XDG_STATE_HOME;
  return xdg && isAbsolute(xdg) ? join(xdg, 'tranship') : join(home, '.local', 'state', 'tranship');
}

/**
 * Creates the directory, and the one for owners' locks in it, where they are missing, readable by its user alone: the
 * names of private repositories are in it.
 *
 * @throws TranshipError `configuration` where it cannot be created
 */
export function prepareStateDirectory(directory: string): void {
  try {
    mkdirSync(join(directory, 'owners'), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw configurationError(`the state directory ${directory} cannot be created: ${(error as Error).message}`, {
      place: { file: directory },
      mend: 'Give a directory that can be written with --state or TRANSHIP_STATE.',
      cause: error,
    });
  }
}
