import { readFileSync } from 'node:fs';
import { configurationError } from '../core/model/errors.ts';

/**
 * The text of a file that the user named.
 * @param mend what to do when it cannot be read
 * @throws TranshipError `config-invalid`
 */
export function readFile(file: string, mend: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw configurationError(`${file}: cannot be read: ${reason}`, { place: { file }, mend });
  }
}
