import { stripVTControlCharacters } from 'node:util';

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

/** Marks and joiners, which take no column of their own, and the letters of a Hangul syllable behind its first one. */
const widthless =
  /^[\p{Mark}\p{Control}\p{Format}\p{Surrogate}\p{Default_Ignorable_Code_Point}\u1160-\u11ff\ud7b0-\ud7ff]$/u;
const asciiLikenesses: Record<string, string> = { '━': '=', '─': '-', '…': '.', '—': '-' };

/** The text in ASCII: a similar character for each other one, or a question mark. It never gets wider. */
export function inAscii(text: string): string {
  return text.replace(/\P{ASCII}/gu, (one) => asciiLikenesses[one] ?? (widthless.test(one) ? '' : '?'));
}
