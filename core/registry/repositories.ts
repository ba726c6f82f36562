import * as v from 'valibot';
import { formatRepository, isRepositoryName, type Repository } from '../model/reference.ts';
import { type Call, callError, retryCall } from './call.ts';
import { walkPages } from './list-pages.ts';
import { findReach } from './reach.ts';
import type { RegistryClient } from './state.ts';
import type { ListPage } from './vendors/page.ts';
import {
  type RepositoryPages,
  readCatalog,
  readDockerHub,
  readGitHub,
  readGitLab,
  readGoogle,
  readHarbor,
  readQuay,
} from './vendors/repository-pages.ts';
import { vendorByChallenge, vendorByName } from './vendors/vendor.ts';

const limits = { what: 'repositories', maxPages: 10_000, maxNames: 200_000 };

/**
 * The repositories below a path of a registry, page by page, in the registry's order: by its vendor's API where the
 * catalog is shut, else by the catalog. A page may be empty, and may have repositories that are elsewhere.
 *
 * @param place the path is empty for the registry as a whole
 * @throws TranshipError where it cannot be listed; `limit-exceeded` or `protocol` for a list that does not end
 */
export async function* listRepositories(
  client: RegistryClient,
  place: Repository,
  { signal }: { signal?: AbortSignal } = {},
): AsyncGenerator<string[]> {
  const subject = formatRepository(place);
  const call: Call = { client, repository: place, operation: 'list repositories', subject, access: 'catalog', signal };
  const read = await retryCall(call, () => pagesOf(call));
  for await (const page of walkPages(call, limits, (cursor) => readPage(call, read, cursor))) {
    yield page.names.filter((name): name is string => typeof name === 'string' && isRepositoryName(name));
  }
}

async function readPage(call: Call, read: RepositoryPages, cursor: string | undefined): Promise<ListPage> {
  try {
    return await read(call, cursor);
  } catch (cause) {
    if (!v.isValiError(cause)) throw cause;
    throw callError(call, 'the answer is no list of repositories', { class: 'permanent', code: 'protocol', cause });
  }
}

/** How the repositories of a call's registry are listed. */
async function pagesOf(call: Call): Promise<RepositoryPages> {
  const { registry, repository } = call.repository;
  if (registry === 'ghcr.io') return readGitHub;
  const vendor = vendorByName(registry) ?? vendorByChallenge(registry, (await findReach(call)).endpoint.auth);
  if (vendor === 'docker-hub') return readDockerHub;
  if (vendor === 'harbor') return readHarbor;
  if (vendor === 'quay') return readQuay;
  if (vendor === 'gitlab') return readGitLab;
  const { ecrImages } = call.client.options;
  if (vendor === 'ecr' && ecrImages !== undefined && (await ecrImages.takes(call.repository))) {
    return ({ signal }, cursor) => ecrImages.readRepositories(call.repository, cursor, signal);
  }
  return vendor === 'google' && repository !== '' ? readGoogle : readCatalog;
}
