import { readFileSync } from 'node:fs';
import { decodeText } from '../core/config/decode-text.ts';
import { configurationError } from '../core/model/errors.ts';

/**
 * The text of a file that the user named.
 * @param mend what to do when it cannot be read
 * @throws TranshipError `config-invalid`, also where it is not text
 */
export function readFile(file: string, mend: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw configurationError(`${file}: cannot be read: ${reason}`, { place: { file }, mend });
  }
  return decodeText(bytes, file);
}
