import { hasCode, TranshipError } from '../model/errors.ts';
import { formatRepository, type Repository } from '../model/reference.ts';
import type { Rule } from '../model/rule.ts';
import type { RegistryClient } from '../registry/client.ts';
import { listRepositories } from '../registry/repositories.ts';
import { compareBytes } from '../rules/version.ts';
import { pathIn, ruleFor } from '../rules/wildcard.ts';

/**
 * The repositories that a rule for many takes now, as what is below its path, in byte order.
 *
 * @throws TranshipError as {@link listRepositories}; `not-found` where there is none: an empty list is more likely a
 *   login that sees nothing than a registry with nothing in it; `limit-exceeded` where there are more than the rule allows
 */
export async function discoverPaths(
  { client, signal }: { client: RegistryClient; signal: AbortSignal },
  rule: Rule,
): Promise<string[]> {
  const { registry, repository } = rule.from;
  const place = repository === '' ? registry : formatRepository(rule.from);
  const paths = new Set<string>();
  let listed = 0;
  for await (const page of listRepositories(client, rule.from, { signal })) {
    listed += page.length;
    for (const name of page) {
      const path = pathIn(rule, { registry, repository: name });
      if (path !== undefined) paths.add(path);
    }
  }
  const site = { registry, operation: 'list repositories' };
  const max = rule.discover?.max ?? 0;
  if (paths.size === 0) {
    throw new TranshipError(`no repository below ${place} fits the rule; ${listed} are listed`, {
      class: 'permanent',
      code: 'not-found',
      mend: 'check the path and the patterns, and that the login may see the repositories',
      ...site,
    });
  }
  if (paths.size > max) {
    throw new TranshipError(`${paths.size} repositories below ${place} fit the rule, and it allows ${max}`, {
      class: 'permanent',
      code: 'limit-exceeded',
      mend: 'raise max in its repositories, or take fewer by match and except',
      ...site,
    });
  }
  return [...paths].sort(compareBytes);
}

/** The rules for one repository each that a rule stands for now: itself, where it is one. */
export async function discoverRules(
  deps: { client: RegistryClient; signal: AbortSignal },
  rule: Rule,
): Promise<Rule[]> {
  if (rule.discover === undefined) return [rule];
  return (await discoverPaths(deps, rule)).map((path) => ruleFor(rule, path));
}

/** Whether a found repository turned out to have no tags: catalogs keep those whose last tag was deleted. */
export function isEmptyRepository(error: unknown, { registry, repository }: Repository): boolean {
  if (!hasCode(error, 'not-found') || error.site.operation !== 'list tags') return false;
  return error.site.registry === registry && error.site.repository === repository;
}
