import { shorten } from './shorten.ts';

/**
 * Text of a user's, shortened and in quotes for a message. What cannot be seen is written as `<U+200B>`, so that a name
 * that looks right shows what is wrong with it.
 */
export function quote(text: string, maxLength = 80): string {
  return JSON.stringify(shorten(text, maxLength)).replace(/[\p{C}\p{Z}]/gu, (character) =>
    character === ' ' ? character : `<${codePoint(character)}>`,
  );
}

/** Names of what comes from word processors, web pages and shells. */
const names = new Map([
  ['\t', 'a tab'],
  ['\n', 'a line break'],
  ['\r', 'a carriage return'],
  ['\u00a0', 'a non-breaking space'],
  ['\u00ad', 'a soft hyphen'],
  ['\u200b', 'a zero-width space'],
  ['\u3000', 'an ideographic space'],
  ['\ufeff', 'a byte order mark'],
]);

/** What Unicode's compatibility forms do not make plain: quotes and dashes. */
const plain = new Map([...'“”„«»'].map((quote): [string, string] => [quote, '"']));
for (const quote of '‘’‚') plain.set(quote, "'");
for (const dash of '‐‑‒–—−') plain.set(dash, '-');

/**
 * The first character that names of images, tags and registries never have: a control, or anything outside ASCII, as it
 * comes from word processors, web pages and input methods. A blank is not one.
 * @returns how messages call it, and what to do; undefined where there is none
 */
export function findOddCharacter(text: string): { name: string; mend: string } | undefined {
  const [odd] = text.match(/[^ -~]/u) ?? [];
  if (odd === undefined) return undefined;
  const unseen = names.get(odd) ?? (/[\p{C}\p{Z}]/u.test(odd) ? 'a character that cannot be seen' : undefined);
  if (unseen !== undefined) return { name: `${unseen} (${codePoint(odd)})`, mend: 'take it out' };
  const instead = plain.get(odd) ?? odd.normalize('NFKC');
  return {
    name: `${odd} (${codePoint(odd)})`,
    mend: /^[ -~]+$/.test(instead) ? `write ${instead}` : 'write it in ASCII',
  };
}

function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
