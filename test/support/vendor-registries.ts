import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { readProxySettings } from '../../core/registry/wire/proxy.ts';
import { httpProxy } from './proxies.ts';
import { type TestClient, testClient } from './scripted-registry.ts';
import { fixture } from './tls-registry.ts';

interface Asked {
  method: string;
  url: URL;
  authorization: string;
}

interface Answer {
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** What a vendor's stand-in has, and how it lists that: `tags` is in byte order. */
interface Held {
  repository: string;
  tags: Array<[tag: string, digest: string]>;
}

/** A vendor's registry: the host that images name, its challenge, and the API that lists tags with digests. */
interface VendorStandIn {
  registry: string;
  repository: string;
  /** Where requests for images go, where that is another host. */
  host?: string;
  /** The host of the API, where that is another one. */
  apiHost?: string;
  realm: string;
  service: string;
  api(asked: Asked, held: Held): Answer | undefined;
  /** The list of the repositories of `team`, where it is not the catalog. */
  repositories?(asked: Asked, names: string[]): Answer | undefined;
  /** Fields of the tag list beside its tags. */
  listFields?(held: Held): Record<string, unknown>;
}

const login = { username: 'robot$mirror', password: 'secret' };
const basic = `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
const numbered = (held: Held, size: number, page: string | null) =>
  held.tags.slice((Number(page) - 1) * size, Number(page) * size);
/** A page of 100 names, by the query's `page`. */
function numberedPage(names: string[], { searchParams }: URL): { page: string[]; hasMore: boolean } {
  const from = (Number(searchParams.get('page')) - 1) * 100;
  return { page: names.slice(from, from + 100), hasMore: from + 100 < names.length };
}
const isLast = (held: Held, size: number, page: string | null) => Number(page) * size >= held.tags.length;

/** A page behind `last`, and the Link to the next one. */
function linked(
  { tags }: Held,
  { pathname, searchParams }: URL,
): { page: Held['tags']; headers: Record<string, string> } {
  const last = searchParams.get('last') ?? '';
  const size = Number(searchParams.get('n'));
  const rest = tags.filter(([tag]) => tag > last);
  const page = rest.slice(0, size);
  const next = `${pathname}?${new URLSearchParams({ last: page.at(-1)?.[0] ?? '', n: String(size) })}`;
  return { page, headers: rest.length > size ? { link: `<${next}>; rel="next"` } : {} };
}

/** Each written by the vendor's own reference or source; see docs/compatibility.md. */
export const vendorStandIns = {
  'Docker Hub': {
    registry: 'docker.io',
    repository: 'team/app',
    host: 'registry-1.docker.io',
    apiHost: 'hub.docker.com',
    realm: 'https://auth.docker.io/token',
    service: 'registry.docker.io',
    api({ url, authorization }, held) {
      if (url.pathname !== '/v2/namespaces/team/repositories/app/tags' || authorization !== '') return { status: 404 };
      const page = url.searchParams.get('page');
      // Newest first, with the platforms' digests beside the tag's own.
      const results = numbered({ ...held, tags: held.tags.toReversed() }, 100, page).map(([name, digest]) => ({
        name,
        digest,
        images: [{ architecture: 'amd64', os: 'linux', digest: `sha256:${'0'.repeat(64)}` }],
        tag_status: 'active',
      }));
      const next = isLast(held, 100, page) ? null : `https://hub.docker.com${url.pathname}?page=${Number(page) + 1}`;
      return { body: { count: held.tags.length, next, previous: null, results } };
    },
    repositories({ url, authorization }, names) {
      if (url.pathname !== '/v2/namespaces/team/repositories' || authorization !== '') return undefined;
      const { page, hasMore } = numberedPage(names, url);
      const next = hasMore ? `https://hub.docker.com${url.pathname}?page=2` : null;
      const results = page.map((name) => ({ name: name.slice('team/'.length), namespace: 'team', is_private: false }));
      return { body: { count: names.length, next, previous: null, results } };
    },
  },
  Harbor: {
    registry: 'harbor.example.com',
    repository: 'team/group/app',
    realm: 'https://harbor.example.com/service/token',
    service: 'harbor-registry',
    api({ url, authorization }, held) {
      if (!url.pathname.startsWith('/api/')) return undefined;
      // The registry's tokens are for /v2/ alone.
      if (authorization !== basic) return { status: 401, body: { errors: [{ code: 'UNAUTHORIZED' }] } };
      if (url.pathname !== '/api/v2.0/projects/team/repositories/group%252Fapp/artifacts') return { status: 404 };
      if (url.searchParams.get('q') !== 'tags=*') return { status: 400 };
      const artifacts = numbered(held, 100, url.searchParams.get('page')).map(([name, digest]) => ({
        digest,
        references: [{ child_digest: `sha256:${'0'.repeat(64)}` }],
        tags: [{ name, immutable: false }],
      }));
      return { headers: { 'x-total-count': String(held.tags.length) }, body: artifacts };
    },
    repositories({ url, authorization }, names) {
      if (url.pathname === '/v2/_catalog') return { status: 401 };
      if (url.pathname !== '/api/v2.0/projects/team/repositories') return undefined;
      if (authorization !== basic) return { status: 401, body: { errors: [{ code: 'UNAUTHORIZED' }] } };
      return { body: numberedPage(names, url).page.map((name, id) => ({ id, name, artifact_count: 1 })) };
    },
  },
  Quay: {
    registry: 'quay.example.com',
    repository: 'team/app',
    realm: 'https://quay.example.com/v2/auth',
    service: 'quay.example.com',
    api({ url, authorization }, held) {
      if (!url.pathname.startsWith('/api/')) return undefined;
      if (authorization !== '') return { status: 401, body: { error_type: 'invalid_token' } };
      if (url.pathname !== '/api/v1/repository/team/app/tag/') return { status: 404 };
      if (url.searchParams.get('onlyActiveTags') !== 'true') return { status: 400 };
      const page = url.searchParams.get('page');
      const tags = numbered(held, 100, page).map(([name, digest]) => ({ name, manifest_digest: digest }));
      return { body: { tags, page: Number(page), has_additional: !isLast(held, 100, page) } };
    },
    repositories({ url, authorization }, names) {
      if (url.pathname !== '/api/v1/repository' || authorization !== '') return undefined;
      if (url.searchParams.get('namespace') !== 'team' || url.searchParams.get('public') !== 'true')
        return { status: 400 };
      const from = Number(url.searchParams.get('next_page') ?? '0');
      const page = names.slice(from, from + 100);
      const repositories = page.map((name) => ({
        namespace: 'team',
        name: name.slice('team/'.length),
        is_public: true,
      }));
      return { body: { repositories, ...(from + 100 < names.length && { next_page: String(from + 100) }) } };
    },
  },
  'Azure Container Registry': {
    registry: 'team.azurecr.io',
    repository: 'app',
    realm: 'https://team.azurecr.io/oauth2/token',
    service: 'team.azurecr.io',
    api({ url, authorization }, held) {
      if (!url.pathname.startsWith('/acr/')) return undefined;
      if (!authorization.includes('metadata_read')) {
        const scope = 'repository:app:metadata_read';
        const challenge = `Bearer realm="https://team.azurecr.io/oauth2/token",service="team.azurecr.io",scope="${scope}"`;
        return { status: 401, headers: { 'www-authenticate': `${challenge},error="insufficient_scope"` } };
      }
      const { page, headers } = linked(held, url);
      const tags = page.map(([name, digest]) => ({ name, digest, signed: false }));
      return { headers, body: { registry: 'team.azurecr.io', imageName: 'app', tags } };
    },
  },
  GitLab: {
    registry: 'registry.example.com',
    repository: 'team/app',
    realm: 'https://gitlab.example.com/jwt/auth',
    service: 'container_registry',
    api({ url, authorization }, held) {
      if (!url.pathname.startsWith('/gitlab/')) return undefined;
      if (!authorization.startsWith('Bearer ')) return { status: 401 };
      if (url.pathname !== '/gitlab/v1/repositories/team/app/tags/list/') return { status: 404 };
      const { page, headers } = linked(held, url);
      return {
        headers,
        body: page.map(([name, digest]) => ({ name, digest, config_digest: null, size_bytes: 286734 })),
      };
    },
    repositories({ url, authorization }, names) {
      if (url.pathname === '/v2/_catalog') return undefined;
      // Here `team` is a project, and no group.
      const isProject = url.href.startsWith('https://gitlab.example.com/api/v4/projects/team/registry/repositories');
      if (!isProject) return { status: 404, body: { message: '404 Group Not Found' } };
      if (authorization !== `Bearer ${login.password}`) return { status: 401, body: { message: '401 Unauthorized' } };
      return { body: numberedPage(names, url).page.map((path, id) => ({ id, name: '', path })) };
    },
  },
  GitHub: {
    registry: 'ghcr.io',
    repository: 'team/app',
    realm: 'https://ghcr.io/token',
    service: 'ghcr.io',
    // Tells no digests of many tags.
    api: () => undefined,
    repositories({ url, authorization }, names) {
      if (url.hostname !== 'api.github.com') return { status: 404 };
      if (authorization !== `Bearer ${login.password}`) return { status: 401, body: { message: 'Bad credentials' } };
      // Here `team` is a user, and no organisation.
      if (url.pathname !== '/users/team/packages') return { status: 404, body: { message: 'Not Found' } };
      if (url.searchParams.get('package_type') !== 'container') return { status: 400 };
      return { body: numberedPage(names, url).page.map((name) => ({ name: name.slice('team/'.length) })) };
    },
  },
  'Google Artifact Registry': {
    registry: 'europe-docker.pkg.dev',
    repository: 'team/images/app',
    realm: 'https://europe-docker.pkg.dev/v2/token',
    service: '',
    api: () => undefined,
    repositories({ url }, names) {
      const path = /^\/v2\/(.+)\/tags\/list$/.exec(url.pathname)?.[1];
      const below = names
        .filter((name) => name.startsWith(`${path}/`))
        .map((name) => name.slice((path ?? '').length + 1));
      const child = [...new Set(below.map((name) => name.split('/')[0]))];
      return path === undefined ? { status: 404 } : { body: { child, manifest: {}, name: path, tags: [] } };
    },
    listFields: ({ tags }) => ({
      child: [],
      manifest: Object.fromEntries(tags.map(([tag, digest]) => [digest, { imageSizeBytes: '1', tag: [tag] }])),
    }),
  },
} satisfies Record<string, VendorStandIn>;

/** The catalog of CNCF distribution, which others took over, for a token that is for it. */
function catalog({ url, authorization }: Asked, names: string[]): Answer {
  if (url.pathname !== '/v2/_catalog') return { status: 404 };
  if (!authorization.includes('registry:catalog:')) return { status: 401 };
  const held = { repository: '', tags: names.map((name): [string, string] => [name, '']) };
  const { page, headers } = linked(held, url);
  return { headers, body: { repositories: page.map(([name]) => name) } };
}

export type VendorName = keyof typeof vendorStandIns;

export interface VendorRegistry extends AsyncDisposable {
  client: TestClient;
  registry: string;
  repository: string;
  /** What each tag is, to be changed by tests. */
  digests: Map<string, string>;
  /** `METHOD host path` of the requests to `/v2/` and to the API, without those for tokens. */
  requests: string[];
  /** The tags that the mirror has; undefined for all. */
  atMirror: ReadonlySet<string> | undefined;
  /** Repositories of `team` that it lists; undefined where no test asks for them. */
  repositories: string[] | undefined;
  /** What the API answers in place of its list. */
  api: Answer | ((real: Answer) => Answer) | undefined;
}

/**
 * A vendor's registry under its own names, which a proxy leads to: the client knows nothing of the stand-in. Also
 * `mirror.example.com`, a registry of no vendor, whose repositories have the same tags.
 */
export async function vendorRegistry(name: VendorName, count: number): Promise<VendorRegistry> {
  const vendor: VendorStandIn = vendorStandIns[name];
  const { registry, repository, host = registry } = vendor;
  const digests = new Map(
    Array.from({ length: count }, (_, at) => [
      `v${String(at).padStart(5, '0')}`,
      `sha256:${String(at).padStart(64, '0')}`,
    ]),
  );
  const requests: string[] = [];
  const standIn: Pick<VendorRegistry, 'api' | 'atMirror' | 'repositories'> = {
    api: undefined,
    atMirror: undefined,
    repositories: undefined,
  };
  const held = (): Held => ({ repository, tags: [...digests] });

  function answer(asked: Asked & { host: string }): Answer {
    const { url, authorization, method } = asked;
    if (url.href.startsWith(vendor.realm)) {
      // The token says what it is for, as a JWT does.
      return {
        body: {
          token:
            url.searchParams
              .getAll('scope')
              .join('+')
              .replace(/[^\w:/+,-]/g, '+') || 'none',
        },
      };
    }
    const isMirror = asked.host === 'mirror.example.com';
    if (url.pathname === '/v2/' && asked.host !== vendor.apiHost) {
      if (isMirror) return { body: {} };
      const challenge = `Bearer realm="${vendor.realm}",service="${vendor.service}"`;
      return { status: 401, headers: { 'www-authenticate': challenge } };
    }
    requests.push(`${method} ${asked.host} ${url.pathname}`);
    if (standIn.repositories !== undefined) {
      return vendor.repositories?.(asked, standIn.repositories) ?? catalog(asked, standIn.repositories);
    }
    if (asked.host === (vendor.apiHost ?? host)) {
      const real = vendor.api(asked, held());
      if (real !== undefined) return (typeof standIn.api === 'function' ? standIn.api(real) : standIn.api) ?? real;
    }
    if (!isMirror && !authorization.startsWith('Bearer ')) return { status: 401 };
    if (url.pathname.endsWith('/tags/list')) {
      const fields = isMirror ? {} : vendor.listFields?.(held());
      const tags = [...digests.keys()].filter((tag) => !isMirror || (standIn.atMirror?.has(tag) ?? true));
      return { body: { name: repository, tags, ...fields } };
    }
    const tag = /\/manifests\/([^/]+)$/.exec(url.pathname)?.[1] ?? '';
    const digest = digests.get(tag);
    if (digest === undefined) return { status: 404, body: { errors: [{ code: 'MANIFEST_UNKNOWN' }] } };
    const type = 'application/vnd.oci.image.index.v1+json';
    return { headers: { 'docker-content-digest': digest, 'content-type': type } };
  }

  const tls = { cert: fixture('server.pem'), key: fixture('server-key.pem') };
  const server = createServer(tls, (request, response) => {
    const { host: asked = '', authorization = '' } = request.headers;
    const url = new URL(request.url ?? '', `https://${asked}`);
    const { status = 200, headers, body } = answer({ method: request.method ?? '', url, host: asked, authorization });
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await httpProxy((server.address() as AddressInfo).port);
  // Names lead to the stand-in by way of the proxy; its certificate is for none of them.
  const client = testClient({
    proxy: readProxySettings({ HTTPS_PROXY: proxy.host }),
    login: { ...login, insecure: true },
    allowedRealms: ['api.github.com'],
  });
  return Object.assign(standIn, {
    client,
    registry,
    repository,
    digests,
    requests,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
