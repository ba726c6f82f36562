import type { CopyContext } from '../copy/context.ts';
import type { Repository } from '../model/reference.ts';
import type { Endpoint } from '../model/rule.ts';

/** The repositories that a source is at its endpoints, in their order. */
export function mirrorsOf(source: Repository, endpoints: readonly Endpoint[] = []): Repository[] {
  return endpoints.map(({ registry, path }) => ({
    registry,
    repository: path === '' ? source.repository : `${path}/${source.repository}`,
  }));
}

/** The context of a copy that reads its source at the endpoints first. No other repository is read there. */
export function withEndpoints(
  copy: CopyContext,
  source: Repository,
  endpoints: readonly Endpoint[] | undefined,
): CopyContext {
  if (endpoints === undefined) return copy;
  const found = mirrorsOf(source, endpoints);
  const mirrors = ({ registry, repository }: Repository) =>
    registry === source.registry && repository === source.repository ? found : [];
  return { ...copy, client: { ...copy.client, options: { ...copy.client.options, mirrors } } };
}
