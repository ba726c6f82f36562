import { homedir } from 'node:os';

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
