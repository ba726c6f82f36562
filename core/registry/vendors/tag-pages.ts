import * as v from 'valibot';
import type { Call } from '../call.ts';
import { parseNextLink } from '../headers/link.ts';
import { type AskAs, askVendor, type VendorAnswer } from './ask.ts';
import type { TagPage } from './page.ts';
import type { Vendor } from './vendor.ts';

/** Nobody waits long for what can be had in another way. */
const TIMEOUT_MS = 10_000;

/** How a vendor lists tags with the digest of the manifest, or of the index, that each is. */
export interface TagPages {
  /** Tags, or tagged images, on one page. */
  size: number;
  read(call: Call, cursor: string | undefined): Promise<TagPage>;
}

/** One a vendor; Google's tag list has the digests in it, and ECR's API is asked through {@link EcrImages}. */
export const tagPages: Record<Exclude<Vendor, 'ecr' | 'google'>, TagPages> = {
  acr: { size: 100, read: readAcr },
  'docker-hub': { size: 100, read: readDockerHub },
  gitlab: { size: 100, read: readGitLab },
  harbor: { size: 100, read: readHarbor },
  quay: { size: 100, read: readQuay },
};

const hubPage = v.object({
  results: v.array(v.object({ name: v.unknown(), digest: v.optional(v.unknown()) })),
  next: v.nullish(v.string()),
});

/**
 * `digest` is that of the tag, an index where there is one; those of `images` are the platforms'. Old tags have none.
 * Anonymous: another login is needed for private repositories.
 * https://docs.docker.com/reference/api/hub/latest/operations/ListRepositoryTags/
 */
async function readDockerHub(call: Call, cursor = '1'): Promise<TagPage> {
  const [namespace, name] = call.repository.repository.split('/');
  const path = `/v2/namespaces/${namespace}/repositories/${name}/tags?page_size=100&page=${cursor}`;
  const { document } = await ask(call, `https://hub.docker.com${path}`, 'anonymous');
  const { results, next } = v.parse(hubPage, document);
  return { digests: results.map(({ name: tag, digest }) => [tag, digest]), next: next ? after(cursor) : undefined };
}

const harborPage = v.array(
  v.object({ digest: v.unknown(), tags: v.nullish(v.array(v.object({ name: v.unknown() }))) }),
);

/**
 * Artifacts that have tags; those of one platform are listed within their index. The registry's tokens are not taken,
 * logins of users and robots are. https://github.com/goharbor/harbor/blob/main/api/v2.0/swagger.yaml
 */
async function readHarbor(call: Call, cursor = '1'): Promise<TagPage> {
  const [project, ...rest] = call.repository.repository.split('/');
  // A slash in a name is encoded twice, since proxies decode it once.
  const path = `/api/v2.0/projects/${project}/repositories/${rest.join('%252F')}/artifacts`;
  const { document } = await ask(call, `${path}?q=tags%3D*&page_size=100&page=${cursor}`, 'basic');
  const artifacts = v.parse(harborPage, document);
  return {
    digests: artifacts.flatMap(({ digest, tags }) => (tags ?? []).map(({ name }) => [name, digest] as const)),
    next: artifacts.length === 100 ? after(cursor) : undefined,
  };
}

const quayPage = v.object({
  tags: v.array(v.object({ name: v.unknown(), manifest_digest: v.optional(v.unknown()) })),
  has_additional: v.optional(v.boolean()),
});

/**
 * Anonymous: private repositories need a token of Quay's API, which is no login of the registry.
 * https://github.com/quay/quay/blob/master/endpoints/api/tag.py
 */
async function readQuay(call: Call, cursor = '1'): Promise<TagPage> {
  const path = `/api/v1/repository/${call.repository.repository}/tag/`;
  const { document } = await ask(call, `${path}?onlyActiveTags=true&limit=100&page=${cursor}`, 'anonymous');
  const { tags, has_additional: hasMore = false } = v.parse(quayPage, document);
  return { digests: tags.map((tag) => [tag.name, tag.manifest_digest]), next: hasMore ? after(cursor) : undefined };
}

const namedDigest = v.object({ name: v.unknown(), digest: v.optional(v.unknown()) });
const acrPage = v.object({ tags: v.nullish(v.array(namedDigest)) });

/**
 * Needs a token with `metadata_read`, which the challenge asks for.
 * https://learn.microsoft.com/en-us/rest/api/containerregistry/tag/get-list
 */
async function readAcr(call: Call, cursor = '?n=100'): Promise<TagPage> {
  const path = `/acr/v1/${call.repository.repository}/_tags`;
  const { document, link } = await ask(call, `${path}${cursor}`, 'registry');
  const { tags } = v.parse(acrPage, document);
  return { digests: (tags ?? []).map(({ name, digest }) => [name, digest]), next: nextQuery(link) };
}

const gitLabPage = v.array(namedDigest);

/**
 * The API of GitLab's registry, not of GitLab; served where the registry has its database.
 * https://gitlab.com/gitlab-org/container-registry/-/blob/master/docs/spec/gitlab/api.md
 */
async function readGitLab(call: Call, cursor = '?n=100'): Promise<TagPage> {
  const path = `/gitlab/v1/repositories/${call.repository.repository}/tags/list/`;
  const { document, link } = await ask(call, `${path}${cursor}`, 'registry');
  return { digests: v.parse(gitLabPage, document).map(({ name, digest }) => [name, digest]), next: nextQuery(link) };
}

function ask(call: Call, url: string, as: AskAs): Promise<VendorAnswer> {
  return askVendor(call, url, as, TIMEOUT_MS);
}

function after(page: string): string {
  return String(Number(page) + 1);
}

/** The query of the next page. As in tag lists, nothing else is taken from the link: it can lead to no other host. */
function nextQuery(link: string | string[] | undefined): string | undefined {
  return /\?[^#]+/.exec(parseNextLink(link) ?? '')?.[0];
}
