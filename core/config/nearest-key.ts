import { closest, distance } from 'fastest-levenshtein';

/** The mend for a key that nothing reads: the key that was probably meant, else the list of keys. */
export function nearestKey(key: string, valid: string[]): string {
  return nearestOf(key, valid, 'keys');
}

/** The mend for a word that is none of those that are valid. @param plural what these are */
export function nearestOf(word: string, valid: readonly string[], plural: string): string {
  const nearest = closest(word.toLowerCase(), valid);
  const near = distance(word.toLowerCase(), nearest) <= Math.max(2, Math.floor(nearest.length / 3));
  return near ? `did you mean ${nearest}?` : `the ${plural} are ${valid.join(', ')}`;
}
