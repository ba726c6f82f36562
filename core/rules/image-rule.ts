import type { Env } from '../config/expand-env.ts';
import type { Rule } from '../model/rule.ts';
import { idFor, parseDestination, selectionOf, uniqueDestinations } from './build-rule.ts';
import { parseImageText } from './image-text.ts';

/**
 * The rule that a source and its destinations make, written as in image-syncer's images file. A source that says
 * neither tag nor digest is its `latest`, as for `docker pull`, unless `allTags` is set.
 * @throws TranshipError `config-invalid`
 */
export function imageRule(
  source: string,
  destinations: readonly string[],
  { env, allTags }: { env: Env; allTags: boolean },
): Rule {
  const image = parseImageText(source);
  const isBare = image.tags === undefined && image.digest === undefined && image.regex === undefined;
  const from = selectionOf(isBare && !allTags ? { ...image, tags: ['latest'] } : image);
  const to = destinations.flatMap((text) =>
    parseDestination(text, { repository: image.repository, ...from }, { env, fallback: {} }),
  );
  return {
    id: idFor(source, new Set()),
    from: image.repository,
    select: from.select,
    to: uniqueDestinations(to),
    platforms: { platforms: [], os: [], arch: [] },
  };
}
