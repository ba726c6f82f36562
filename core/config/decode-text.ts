import { configurationError, type TranshipError } from '../model/errors.ts';

/**
 * How a file begins tells its encoding (YAML 1.2.2, section 5.2): by its byte order mark, or by where the NULs of ASCII
 * are.
 */
const encodings: Array<{ encoding: string; begins: (bytes: Uint8Array) => boolean }> = [
  { encoding: 'utf-32', begins: ([a, b, c, d]) => a === 0xff && b === 0xfe && c === 0 && d === 0 },
  { encoding: 'utf-32', begins: ([a, b, c]) => a === 0 && b === 0 && (c === 0xfe || c === 0) },
  { encoding: 'utf-16le', begins: ([a, b]) => a === 0xff && b === 0xfe },
  { encoding: 'utf-16be', begins: ([a, b]) => a === 0xfe && b === 0xff },
  { encoding: 'utf-16le', begins: ([a, b]) => a !== 0 && b === 0 },
  { encoding: 'utf-16be', begins: ([a, b]) => a === 0 && b !== 0 && b !== undefined },
];

/**
 * The text of a user's file: UTF-8, or UTF-16 as PowerShell 5 writes it with `>`. A byte order mark is taken off.
 *
 * @throws TranshipError `config-invalid` where it is not text in one of these encodings
 */
export function decodeText(bytes: Uint8Array, file: string): string {
  const encoding = encodings.find(({ begins }) => begins(bytes))?.encoding ?? 'utf-8';
  if (encoding === 'utf-32')
    throw notText(
      file,
      bytes.every((byte) => byte === 0) ? 'it holds nothing but NULs' : 'it is not text, or text in UTF-32',
    );
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw notText(
      file,
      encoding === 'utf-8'
        ? `line ${firstBadLine(bytes)} is not UTF-8`
        : `it begins as ${encoding.toUpperCase()} and does not go on so`,
    );
  }
  if (text.includes('\0')) throw notText(file, 'it has NULs in it, which no text has');
  return text;
}

/** The number of the first line that is not UTF-8: of a file in another encoding, the first that is not plain ASCII. */
function firstBadLine(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = 1;
  for (let start = 0; start < bytes.length; line += 1) {
    const end = bytes.indexOf(0x0a, start);
    const next = end === -1 ? bytes.length : end + 1;
    try {
      decoder.decode(bytes.subarray(start, next));
    } catch {
      return line;
    }
    start = next;
  }
  return line;
}

function notText(file: string, why: string): TranshipError {
  return configurationError(`${file} cannot be read as text: ${why}`, {
    place: { file },
    mend: 'Save it as UTF-8.',
  });
}
