import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The home directory of this user: `$HOME`, else what the system's user database says. Undefined where neither has one,
 * as in a container that runs under a made-up user id: `os.homedir()` throws there.
 */
export function homeDirectory(): string | undefined {
  try {
    return homedir() || undefined;
  } catch {
    return undefined;
  }
}

/**
 * The path that is meant by one with `~/` at its front. A shell leaves the `~` of `--images=~/images.yaml` as it is, and
 * so does everything that starts a command without one.
 */
export function expandHome(path: string, home = homeDirectory()): string {
  return home !== undefined && /^~(?:[/\\]|$)/.test(path) ? join(home, path.slice(1)) : path;
}
