import { statSync } from 'node:fs';
import { configurationError } from '../../core/model/errors.ts';
import { findOddCharacter, quote } from '../../core/model/quote.ts';

/** The endings that files of rules and logins have. */
export const endings = ['json', 'yaml', 'yml'];

/** Whether there is a file, as far as this user may know: one that is kept from them is told of when it is read. */
export function mayExist(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    return !['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}

/**
 * The file that a flag names.
 *
 * @param exists whether there is a file of this path
 * @throws TranshipError `configuration` that says what may be meant where there is no such file
 */
export function findFile(flag: string, path: string, exists: (path: string) => boolean): string {
  if (exists(path)) return path;
  throw configurationError(`--${flag}: there is no file ${/\p{C}/u.test(path) ? quote(path) : path}`, {
    place: { file: path },
    mend: mendFor(path, exists),
  });
}

function mendFor(path: string, exists: (path: string) => boolean): string {
  const stem = path.replace(/\.(json|ya?ml)$/i, '');
  const near = [path.trim(), path.replaceAll('\\', '/'), ...endings.map((ending) => `${stem}.${ending}`)].find(exists);
  if (near !== undefined) return `Did you mean ${near}?`;
  if (/^https?:/i.test(path)) return 'Files are not downloaded: save it here, and give its path.';
  if (/^file:/i.test(path)) return `Give its path: ${path.replace(/^file:(?:\/\/[^/]*)?/i, '')}`;
  const [, drive, rest = ''] = /^([a-z]):[\\/](.*)$/i.exec(path) ?? [];
  if (drive !== undefined && process.platform !== 'win32') {
    return `This is a path of Windows; WSL has it at /mnt/${drive.toLowerCase()}/${rest.replaceAll('\\', '/')}`;
  }
  const odd = findOddCharacter(path.slice(-1));
  if (odd !== undefined) return `It ends with ${odd.name}.`;
  return 'Check the path; it is taken from the working directory.';
}
