import type { Sender } from './sender.ts';

/** Where images of a repository inside the sender are: a registry, and a path in front of their names. */
interface Place {
  registry: string | undefined;
  path: string;
}

/**
 * The place of a sender's own repository, by its key there.
 * @returns undefined where the sender lists its repositories and this is none of them
 */
export function placeInside(sender: Sender, key: string, otherwise: Place): Place | undefined {
  if (sender.repositories === undefined) return otherwise;
  const place = Object.hasOwn(sender.repositories, key) ? sender.repositories[key] : undefined;
  if (place === undefined) return undefined;
  const slash = place.indexOf('/');
  return slash === -1
    ? { registry: place, path: '' }
    : { registry: place.slice(0, slash), path: place.slice(slash + 1) };
}
