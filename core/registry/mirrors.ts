import { toTranshipError } from '../model/errors.ts';
import { type Digest, formatRepository, type Repository } from '../model/reference.ts';
import { warnOnce } from './headers/warning.ts';
import type { RegistryClient } from './state.ts';

/** A mirror that cannot be read is passed over for so long. */
export const MIRROR_REST_MS = 60_000;
/** What was begun at a mirror is read elsewhere for so long: it may have come broken, or in other bytes. */
export const MIRROR_TRIED_MS = 10 * 60_000;

/**
 * Reads something that its digest names from the mirrors of a repository, in their order. Only such things: a tag may be
 * out of date at a mirror. Whatever goes wrong leads to the next one, and what a mirror does not have to nothing else.
 *
 * @param options.begun names what is only begun here: it is not begun at the same mirror again for a while
 * @returns undefined where no mirror gave it, so that the registry itself is to be asked; at once where there is none
 * @throws TranshipError `aborted`
 */
export function fromMirrors<T>(
  client: RegistryClient,
  repository: Repository,
  read: (mirror: Repository) => Promise<T | undefined>,
  { begun }: { begun?: Digest } = {},
): Promise<T | undefined> | undefined {
  const mirrors = client.options.mirrors?.(repository) ?? [];
  return mirrors.length === 0 ? undefined : tryInTurn(client, { repository, mirrors, begun }, read);
}

async function tryInTurn<T>(
  client: RegistryClient,
  { repository, mirrors, begun }: { repository: Repository; mirrors: readonly Repository[]; begun: Digest | undefined },
  read: (mirror: Repository) => Promise<T | undefined>,
): Promise<T | undefined> {
  const { mirrorsTried, mirrorsAtRest } = client;
  for (const mirror of mirrors) {
    const key = `${formatRepository(mirror)}@${begun}`;
    if (mirrorsAtRest.has(mirror.registry) || mirrorsTried.has(key)) continue;
    try {
      const found = await read(mirror);
      if (found === undefined) continue;
      if (begun !== undefined) mirrorsTried.set(key, true);
      return found;
    } catch (thrown) {
      const error = toTranshipError(thrown);
      if (error.code === 'aborted') throw error;
      if (error.code === 'not-found' || error.code === 'blob-unknown') continue;
      mirrorsAtRest.set(mirror.registry, true);
      warnOnce(
        client,
        mirror.registry,
        `${mirror.registry}, an endpoint of ${repository.registry}, is passed over for a minute: ${error.message}`,
      );
    }
  }
  return undefined;
}
