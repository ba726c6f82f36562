import { atSite } from '../model/errors.ts';
import { type ManifestContent, parseManifest } from '../model/manifest.ts';
import type { Repository } from '../model/reference.ts';
import type { FetchedManifest } from '../registry/manifests.ts';

/**
 * What a manifest of the source names.
 * @throws TranshipError `bad-manifest`, permanent, with the source's name
 */
export function contentOf({ registry, repository }: Repository, manifest: FetchedManifest): ManifestContent {
  try {
    return parseManifest(manifest.bytes, manifest.mediaType);
  } catch (error) {
    throw atSite(error, { registry, repository, operation: 'get manifest' });
  }
}
