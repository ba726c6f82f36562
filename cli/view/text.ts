import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
const printableAscii = /^[\x20-\x7e]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/**
 * Text from outside on one line, without anything that could move the cursor, colour the screen or turn the reading
 * direction: the error messages of registries are shown to the user.
 */
export function clean(text: string): string {
  return printableAscii.test(text) ? text : stripVTControlCharacters(text).replace(unsafe, ' ').trim();
}

/** The text, cut to a width with `…` at its end where it is longer. For text without escape sequences. */
export function clip(text: string, columns: number): string {
  if (columns <= 0) return '';
  if (stringWidth(text) <= columns) return text;
  let width = 0;
  let kept = '';
  for (const { segment } of segmenter.segment(text)) {
    width += stringWidth(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** The text, cut in its middle: both ends of a repository name say something. For ASCII text. */
export function clipMiddle(text: string, columns: number): string {
  if (text.length <= columns) return text;
  if (columns < 5) return clip(text, columns);
  const head = Math.floor((columns - 1) / 3);
  return `${text.slice(0, head)}…${text.slice(text.length - (columns - 1 - head))}`;
}

/** The text with blanks up to a width, behind it or in front. */
export function pad(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const blanks = ' '.repeat(Math.max(0, columns - stringWidth(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

/** Words on lines of at most `columns`. A longer word gets a line of its own and is never broken. */
export function wrap(text: string, columns: number): string[] {
  return wrapAnsi(text, columns).split('\n');
}

/**
 * Text from outside on as many lines as it has, their indentation kept, as harmless as {@link clean} makes each of
 * them.
 */
export function cleanLines(text: string): string {
  return text
    .split('\n')
    .map((line) => (/^ */.exec(line)?.[0] ?? '') + clean(line.trimStart()))
    .join('\n');
}

/**
 * Whether a terminal shows more than ASCII. The locale is the first of the three variables that has a value (POSIX,
 * "Environment Variables"); without any, as in most containers, the terminal outside speaks UTF-8. The console of Linux
 * lacks the glyphs.
 */
export function speaksUtf8(env: Record<string, string | undefined>): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG;
  return env.TERM !== 'linux' && (!locale || /utf-?8/i.test(locale));
}

const asciiLikenesses: Record<string, string> = { '━': '=', '─': '-', '…': '.', '—': '-' };

/** The text in ASCII: a similar character for each other one, or a question mark. It never gets wider. */
export function inAscii(text: string): string {
  return text.replace(/\P{ASCII}/gu, (one) => asciiLikenesses[one] ?? (stringWidth(one) === 0 ? '' : '?'));
}
