import { OCI_INDEX } from '../../core/model/media-types.ts';
import { answerBytes, digestFrom, type Exchange } from './exchange.ts';
import { readManifest } from './manifest-parts.ts';
import { Problem } from './problem.ts';

/** Tags after `last`, at most `n` of them, with a Link to the rest (distribution-spec, "Listing Tags"). */
export function listTags(exchange: Exchange): void {
  const { content, repository, query } = exchange;
  if (!content.has(repository)) throw new Problem(404, 'NAME_UNKNOWN', 'repository name not known to registry');
  const asked = query.get('n');
  if (asked !== null && !/^\d{1,9}$/.test(asked)) {
    throw new Problem(400, 'PAGINATION_NUMBER_INVALID', 'invalid number of results requested');
  }
  const count = Math.min(asked === null ? exchange.maxTagsPerPage : Number(asked), exchange.maxTagsPerPage);
  const last = query.get('last') ?? '';
  const tags = content.tags(repository).filter((tag) => tag > last);
  const page = tags.slice(0, count);
  const lastOfPage = page.at(-1);
  const next = `/v2/${repository}/tags/list?${new URLSearchParams({ n: String(count), last: lastOfPage ?? '' })}`;
  const more = page.length < tags.length && lastOfPage !== undefined;
  answerJson(
    exchange,
    'application/json',
    { name: repository, tags: page },
    more ? { Link: `<${next}>; rel="next"` } : {},
  );
}

/** Names of repositories after `last`, at most `n` of them, with a Link to the rest, as CNCF distribution has it. */
export function listRepositories(
  names: readonly string[],
  query: URLSearchParams,
): { repositories: string[]; link?: string } {
  const count = Number(query.get('n') ?? 100);
  const rest = names.filter((name) => name > (query.get('last') ?? ''));
  const repositories = rest.slice(0, count);
  const next = new URLSearchParams({ last: repositories.at(-1) ?? '', n: String(count) });
  return { repositories, ...(rest.length > count && { link: `</v2/_catalog?${next}>; rel="next"` }) };
}

/**
 * What refers to a digest, which need not be there itself; `artifactType` filters (distribution-spec, "Listing
 * Referrers").
 */
export function listReferrers(exchange: Exchange): void {
  if (exchange.referrers === 'none') throw new Problem(404, 'UNSUPPORTED', 'no such endpoint');
  const subject = digestFrom(exchange.argument);
  const wanted = exchange.query.get('artifactType');
  const manifests = exchange.content.manifests(exchange.repository).flatMap((manifest) => {
    const parts = readManifest(manifest.mediaType, manifest.bytes);
    if (parts.subject !== subject) return [];
    if (wanted !== null && parts.artifactType !== wanted) return [];
    return [
      {
        mediaType: manifest.mediaType,
        digest: manifest.digest,
        size: manifest.bytes.length,
        artifactType: parts.artifactType,
        annotations: parts.annotations,
      },
    ];
  });
  const first = Number(exchange.query.get('from') ?? 0);
  const end = first + exchange.referrers;
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: manifests.slice(first, end) };
  const filter: Record<string, string> = wanted === null ? {} : { artifactType: wanted };
  const next = `/v2/${exchange.repository}/referrers/${subject}?${new URLSearchParams({ ...filter, from: String(end) })}`;
  answerJson(exchange, OCI_INDEX, index, {
    ...(wanted !== null && { 'OCI-Filters-Applied': 'artifactType' }),
    ...(end < manifests.length && { Link: `<${next}>; rel="next"` }),
  });
}

function answerJson(exchange: Exchange, type: string, body: unknown, headers: Record<string, string>): void {
  answerBytes(exchange, { 'Content-Type': type, ...headers }, Buffer.from(JSON.stringify(body)));
}
