import { closest, distance } from 'fastest-levenshtein';

/** The mend for a key that nothing reads: the key that was probably meant, else the list of keys. */
export function nearestKey(key: string, known: readonly string[]): string {
  return nearestOf(key, known, 'the keys are');
}

/** The mend for a word that is not a known one: the word that was probably meant, else the list of words. */
export function nearestOf(word: string, known: readonly string[], introduction = 'use one of'): string {
  const nearest = closest(word.toLowerCase(), known);
  const isNear = distance(word.toLowerCase(), nearest) <= Math.max(2, Math.floor(nearest.length / 3));
  return isNear ? `did you mean ${nearest}?` : `${introduction} ${known.join(', ')}`;
}
