import { closest, distance } from 'fastest-levenshtein';

/** The mend for a key that nothing reads: the key that was probably meant, else the list of keys. */
export function nearestKey(key: string, valid: string[]): string {
  const nearest = closest(key.toLowerCase(), valid);
  const near = distance(key.toLowerCase(), nearest) <= Math.max(2, Math.floor(nearest.length / 3));
  return near ? `did you mean ${nearest}?` : `the keys are ${valid.join(', ')}`;
}
