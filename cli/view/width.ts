import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';

/** One column for each character. What measures all others takes 20 ms to load its tables of characters. */
const plain = /^[\x20-\x7e\u2014\u2026]*$/;

/** How many columns of a terminal a text takes. It may have colours. */
export function widthOf(text: string): number {
  const shown = stripVTControlCharacters(text);
  return plain.test(shown) ? shown.length : stringWidth(text);
}

/** The text, cut to a width with `…` at its end where it is longer. For text without escape sequences. */
export function clip(text: string, columns: number): string {
  if (columns <= 0) return '';
  if (widthOf(text) <= columns) return text;
  if (plain.test(text)) return `${text.slice(0, columns - 1)}…`;
  let width = 0;
  let kept = '';
  for (const { segment } of new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)) {
    width += widthOf(segment);
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
  const blanks = ' '.repeat(Math.max(0, columns - widthOf(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

/** Words on lines of at most `columns`. A longer word gets a line of its own and is never broken. */
export function wrap(text: string, columns: number): string[] {
  const isOneLine = plain.test(text) && text.length <= columns && text === text.trim();
  return isOneLine ? [text] : wrapAnsi(text, columns).split('\n');
}
