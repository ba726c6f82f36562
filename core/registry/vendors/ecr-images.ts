import type { Repository } from '../../model/reference.ts';
import type { TagPage } from './tag-pages.ts';

/** The images of private ECR repositories, by ECR's own API (`ListImages`), whose logins are not the registry's. */
export interface EcrImages {
  /** False where the API may not be asked: there is no login for it, or it would not be that of the registry. */
  takes(repository: Repository): Promise<boolean>;
  /** Up to 1,000 tags; `next` is the API's token. */
  read(repository: Repository, cursor: string | undefined, signal: AbortSignal | undefined): Promise<TagPage>;
}
