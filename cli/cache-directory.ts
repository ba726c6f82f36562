import { existsSync, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * A directory for compiled code that nobody but this user can write to, made where it is missing: what is found there
 * is run. Node would take one in the directory for temporary files, where any user may have made it before.
 *
 * @returns undefined where there is none: then no code is kept
 */
export function cacheDirectory(
  env: Readonly<Record<string, string | undefined>>,
  uid: number | undefined = process.getuid?.(),
): string | undefined {
  // A home that is not there is nobody's (`/nonexistent` of nobody), and not for us to make.
  const homes = [env.XDG_CACHE_HOME, env.HOME && existsSync(env.HOME) ? join(env.HOME, '.cache') : undefined];
  const own = homes.filter((home): home is string => home !== undefined && isAbsolute(home));
  const places = [...own.map((home) => join(home, 'tranship')), join(tmpdir(), `tranship-cache-${uid ?? 'user'}`)];
  return places.find((place) => isPrivate(place, uid));
}

function isPrivate(directory: string, uid: number | undefined): boolean {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const found = lstatSync(directory);
    // Windows has neither, and a profile directory of each user's own.
    return found.isDirectory() && (uid === undefined || (found.uid === uid && (found.mode & 0o022) === 0));
  } catch {
    return false;
  }
}
