import * as v from 'valibot';
import { TranshipError } from '../../model/errors.ts';
import { isRepositoryName } from '../../model/reference.ts';
import { type Call, patienceMs } from '../call.ts';
import { parseNextLink } from '../headers/link.ts';
import { afterFullPage, FIRST_QUERY } from '../list-pages.ts';
import { findReach } from '../reach.ts';
import { type AskAs, askVendor, type VendorAnswer } from './ask.ts';
import type { ListPage } from './page.ts';

/**
 * Reads the repositories below the call's repository, which is a path, or empty for the whole registry. Names are whole
 * paths at the registry.
 */
export type RepositoryPages = (call: Call, cursor: string | undefined) => Promise<ListPage>;

const names = v.nullish(v.array(v.unknown()));
const catalogPage = v.object({ repositories: names });

/**
 * The catalog: all that the login may see, whatever its path.
 * https://distribution.github.io/distribution/spec/api/#listing-repositories
 */
export async function readCatalog(call: Call, cursor = FIRST_QUERY): Promise<ListPage> {
  // A registry that takes no pages of this size may choose it itself: CNCF distribution, `catalog.maxentries`.
  const asked = await orElse(
    () => ask(call, `/v2/_catalog${cursor}`, 'registry'),
    400,
    cursor === FIRST_QUERY ? '' : undefined,
  );
  if (typeof asked === 'string') return { names: [], next: asked };
  const listed = v.parse(catalogPage, asked.document).repositories ?? [];
  return { names: listed, next: nextQuery(asked.link), guess: afterFullPage(listed) };
}

const hubPage = v.object({ results: v.array(v.object({ name: v.unknown() })), next: v.nullish(v.string()) });

/**
 * The public repositories of a namespace; Docker Hub has no catalog.
 * https://docs.docker.com/reference/api/hub/latest/operations/listNamespaceRepositories/
 */
export async function readDockerHub(call: Call, cursor = '1'): Promise<ListPage> {
  const [namespace] = call.repository.repository.split('/');
  const path = `/v2/namespaces/${namespace}/repositories?page_size=100&page=${cursor}`;
  const { document } = await ask(call, `https://hub.docker.com${path}`, 'anonymous');
  const { results, next } = v.parse(hubPage, document);
  return { names: results.map(({ name }) => `${namespace}/${name}`), next: next ? after(cursor) : undefined };
}

const namesPage = v.array(v.object({ name: v.unknown() }));

/**
 * The repositories of a project, or of all that the login may see: the catalog is for administrators.
 * https://github.com/goharbor/harbor/blob/main/api/v2.0/swagger.yaml
 */
export async function readHarbor(call: Call, cursor = '1'): Promise<ListPage> {
  const [project] = call.repository.repository.split('/');
  const path = project === '' ? '/api/v2.0/repositories' : `/api/v2.0/projects/${project}/repositories`;
  const { document } = await ask(call, `${path}?page_size=100&page=${cursor}`, 'basic');
  const repositories = v.parse(namesPage, document);
  return {
    names: repositories.map(({ name }) => name),
    next: repositories.length === 100 ? after(cursor) : undefined,
  };
}

const quayPage = v.object({
  repositories: v.array(v.object({ namespace: v.unknown(), name: v.unknown() })),
  next_page: v.nullish(v.string()),
});

/**
 * The public repositories of a namespace: private ones need a token of Quay's API, which is no login of the registry.
 * https://github.com/quay/quay/blob/master/endpoints/api/repository.py
 */
export async function readQuay(call: Call, cursor?: string): Promise<ListPage> {
  const [namespace = ''] = call.repository.repository.split('/');
  const query = new URLSearchParams({ public: 'true' });
  if (namespace !== '') query.set('namespace', namespace);
  if (cursor !== undefined) query.set('next_page', cursor);
  const { document } = await ask(call, `/api/v1/repository?${query}`, 'anonymous');
  const { repositories, next_page: next } = v.parse(quayPage, document);
  return { names: repositories.map((one) => `${one.namespace}/${one.name}`), next: next || undefined };
}

const googlePage = v.object({ child: names });

/**
 * Google's tag list of any path names what is below it. Each page is one path; the cursor has the paths that are left.
 * https://github.com/google/go-containerregistry/blob/main/pkg/v1/google/list.go
 */
export async function readGoogle(call: Call, cursor?: string): Promise<ListPage> {
  const { registry, repository: root } = call.repository;
  const [path = '', ...rest] = cursor?.split(' ') ?? [root];
  const one: Call = { ...call, repository: { registry, repository: path }, access: 'pull' };
  const { document } = await ask(one, `/v2/${path}/tags/list`, 'registry');
  const children = (v.parse(googlePage, document).child ?? []).filter(
    (child): child is string => typeof child === 'string' && isRepositoryName(child),
  );
  const below = children.map((child) => `${path}/${child}`);
  return { names: below, next: [...rest, ...below].join(' ') || undefined };
}

const gitLabPage = v.array(v.object({ path: v.unknown() }));

/**
 * The repositories of a group with its subgroups, or of a project, by GitLab's API, which is where the registry's tokens
 * come from. https://docs.gitlab.com/api/container_registry/
 */
export async function readGitLab(call: Call, cursor?: string): Promise<ListPage> {
  const { auth } = (await findReach(call)).endpoint;
  const origin = auth.kind === 'bearer' ? URL.parse(auth.realm)?.origin : undefined;
  if (origin === undefined || call.repository.repository === '') return readCatalog(call, cursor);
  const [kind, page = '1'] = (cursor ?? 'groups 1').split(' ');
  const path = `/api/v4/${kind}/${encodeURIComponent(call.repository.repository)}/registry/repositories`;
  const asked = await orElse(
    () => ask(call, `${origin}${path}?per_page=100&page=${page}`, 'bearer'),
    404,
    kind === 'groups' && page === '1' ? 'projects 1' : undefined,
  );
  if (typeof asked === 'string') return { names: [], next: asked };
  const repositories = v.parse(gitLabPage, asked.document);
  return {
    names: repositories.map((one) => one.path),
    next: repositories.length === 100 ? `${kind} ${after(page)}` : undefined,
  };
}

/**
 * The packages of an organisation, or of a user, by GitHub's API, whose host the user has to allow.
 * https://docs.github.com/en/rest/packages/packages
 */
export async function readGitHub(call: Call, cursor = 'orgs 1'): Promise<ListPage> {
  const [kind, page = '1'] = cursor.split(' ');
  const [owner = ''] = call.repository.repository.split('/');
  const query = `package_type=container&per_page=100&page=${page}`;
  const asked = await orElse(
    () => ask(call, `https://api.github.com/${kind}/${owner}/packages?${query}`, 'bearer'),
    404,
    kind === 'orgs' && page === '1' ? 'users 1' : undefined,
  );
  if (typeof asked === 'string') return { names: [], next: asked };
  const packages = v.parse(namesPage, asked.document);
  return {
    names: packages.map(({ name }) => `${owner}/${name}`),
    next: packages.length === 100 ? `${kind} ${after(page)}` : undefined,
  };
}

/**
 * Asks with patience: a rule can do nothing without its repositories, and a catalog may be read from all of a registry's
 * storage first (distribution/distribution#1963, distribution/distribution#3678).
 */
function ask(call: Call, url: string, as: AskAs): Promise<VendorAnswer> {
  return askVendor(call, url, as, patienceMs(call));
}

/** What is asked for; or where to ask next, where the answer has a certain status. */
async function orElse<T>(ask: () => Promise<T>, status: number, other: string | undefined): Promise<T | string> {
  try {
    return await ask();
  } catch (error) {
    if (other !== undefined && error instanceof TranshipError && error.site.status === status) return other;
    throw error;
  }
}

function after(page: string): string {
  return String(Number(page) + 1);
}

/** The query of the next page. As in tag lists, nothing else is taken from the link: it can lead to no other host. */
function nextQuery(link: string | string[] | undefined): string | undefined {
  return /\?[^#]+/.exec(parseNextLink(link) ?? '')?.[0];
}
