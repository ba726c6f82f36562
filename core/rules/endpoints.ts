import { type Located, textOf } from '../config/located.ts';
import { attempt, report, type UserFile } from '../config/problems.ts';
import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import { isRegistryName, isRepositoryName, looksLikeRegistry, normaliseRegistry } from '../model/reference.ts';
import type { Endpoint } from '../model/rule.ts';

/** `endpoints:` of tranship.yaml: by registry, where its images are read first. What is wrong is noted in `file`. */
export function readEndpoints(file: UserFile, node: Located | undefined): Map<string, Endpoint[]> {
  const endpoints = new Map<string, Endpoint[]>();
  if (node?.kind !== 'map') return endpoints;
  for (const [name, { keyOffset, value }] of node.entries) {
    const registry = normaliseRegistry(name);
    if (!looksLikeRegistry(name) || !isRegistryName(registry)) {
      report(file, keyOffset, `${quote(name)} is not a registry`, 'write it like docker.io');
      continue;
    }
    if (endpoints.has(registry)) {
      report(file, keyOffset, `${quote(name)} means ${registry}, which has endpoints above`, 'keep one of them');
    }
    const items = value.kind === 'list' ? value.items : [value];
    endpoints.set(
      registry,
      items.flatMap((item) => attempt(file, item.offset, () => parseEndpoint(textOf(item), registry)) ?? []),
    );
  }
  return endpoints;
}

/**
 * Reads an endpoint: `mirror.gcr.io`, `harbor.example.com/dockerhub`.
 * @throws TranshipError `config-invalid`
 */
function parseEndpoint(text: string, registry: string): Endpoint {
  const [host = '', ...rest] = text.replace(/\/$/, '').split('/');
  const path = rest.join('/');
  const endpoint = { registry: normaliseRegistry(host), path };
  if (looksLikeRegistry(host) && isRegistryName(endpoint.registry) && (path === '' || isRepositoryName(path))) {
    if (endpoint.registry !== registry) return endpoint;
    throw configurationError(`${quote(text)} is the registry itself`, { mend: 'leave it out: it is asked last' });
  }
  throw configurationError(`${quote(text)} is not an endpoint`, {
    mend: 'write a host, or a host and the path before the repositories, without https://: mirror.example.com/dockerhub',
  });
}
