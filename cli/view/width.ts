import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';

// Apart from text.ts, which every command loads at its start: this takes a while to load.

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

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
