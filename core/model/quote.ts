/**
 * Characters that a person cannot see, or sees as another: controls, blanks other than the usual one, zero-width and
 * direction marks, and halves of surrogate pairs.
 */
const unseen = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

/** How a character is named in messages: `U+200B`. */
export function codePointName(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/**
 * Text of a user's, shortened and in quotes for a message. What cannot be seen is written as `<U+200B>`, so that a name
 * that looks right shows why it is not.
 */
export function quote(text: string, maxLength = 80): string {
  const shown = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
  return JSON.stringify(shown).replace(unseen, (character) => `<${codePointName(character)}>`);
}

/** The first character of the text that cannot be seen; undefined where there is none. */
export function findUnseen(text: string): string | undefined {
  return text.match(unseen)?.[0];
}
