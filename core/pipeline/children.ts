import { contentOf } from '../copy/content.ts';
import { createRecent, type Recent } from '../copy/recent.ts';
import { walkImage } from '../copy/walk.ts';
import { isIndexType } from '../model/media-types.ts';
import { type Digest, formatRepository, type Repository } from '../model/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import { getManifest, headManifest } from '../registry/manifests.ts';
import { paceOf } from '../registry/pace.ts';

/**
 * Names the manifests that an index leads to and its repository does not have, all levels down: a registry may lose
 * them and keep the index (distribution/distribution#3178). Blobs are not asked for.
 *
 * @throws TranshipError transient and throttled ones; as {@link walkImage}
 */
export type ChildLook = (at: Repository, index: Digest) => Promise<Digest[]>;

/** Bounds the memory of a look over many tags. */
const MOST_REMEMBERED = 10_000;

/** One GET for each index and one HEAD for each child, however many tags lead to it. */
export function createChildLook({ client, signal }: { client: RegistryClient; signal: AbortSignal }): ChildLook {
  const looks = createRecent<Promise<Digest[]>>(MOST_REMEMBERED);
  const answers = createRecent<Promise<boolean>>(MOST_REMEMBERED);

  function has({ registry, repository }: Repository, digest: Digest): Promise<boolean> {
    const ask = () => headManifest(client, { registry, repository, digest }, { access: 'push', signal });
    const key = `${formatRepository({ registry, repository })} ${digest}`;
    return remembered(answers, key, async () => (await paceOf(client, registry).ask(ask)) !== undefined);
  }

  async function look({ registry, repository }: Repository, digest: Digest): Promise<Digest[]> {
    const source = { registry, repository };
    const lost: Digest[] = [];
    const root = await getManifest(client, { ...source, digest }, { signal });
    await walkImage({ client, signal, source }, contentOf(source, root), {
      prepare: async () => {},
      blob: async () => {},
      async child(child, visit) {
        if (!(await has(source, child.digest))) lost.push(child.digest);
        else if (isIndexType(child.mediaType)) await visit();
      },
    });
    return lost;
  }

  return (at, index) => remembered(looks, `${formatRepository(at)} ${index}`, () => look(at, index));
}

function remembered<T>(known: Recent<Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const before = known.get(key);
  if (before !== undefined) return before;
  const answer = ask();
  known.set(key, answer);
  return answer;
}
