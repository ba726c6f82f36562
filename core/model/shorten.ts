/**
 * The text, with `…` in place of what is beyond a length in UTF-16 units. No character is cut in half, since half of one
 * cannot be sent as UTF-8.
 */
export function shorten(text: string, maxLength: number): string {
  return text.length > maxLength ? `${text.slice(0, maxLength).replace(/\p{Cs}$/u, '')}…` : text;
}
