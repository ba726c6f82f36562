import type { ManifestContent } from '../model/manifest.ts';
import { isIndexType } from '../model/media-types.ts';
import type { Digest } from '../model/reference.ts';
import { type WalkOptions, walkImage } from './walk.ts';

/**
 * The digests of all manifests that an image leads to, its own left out. Only indexes inside of indexes are read.
 * @throws TranshipError as {@link walkImage}
 */
export async function manifestsOf(options: WalkOptions, content: ManifestContent): Promise<Digest[]> {
  const digests: Digest[] = [];
  if (content.kind === 'image') return digests;
  await walkImage(options, content, {
    prepare: async () => {},
    blob: async () => {},
    async child({ digest, mediaType }, visit) {
      digests.push(digest);
      if (isIndexType(mediaType)) await visit();
    },
  });
  return digests;
}
