import { TranshipError } from '../../model/errors.ts';
import { awsDomains } from '../aws-partitions.ts';
import { bareHost, literalKind } from '../wire/address-guard.ts';

/**
 * Domains under which each customer of a vendor gets a name, and which the public suffix list does not have. Two hosts
 * under one of them have nothing in common.
 */
const sharedDomains = [
  ...awsDomains,
  ...['azurecr.io', 'azurecr.cn', 'azurecr.us', 'azure.com', 'windows.net'],
  ...['azurecontainerapps.io', 'aliyuncs.com', 'myhuaweicloud.com', 'tencentcloudcr.com', 'myqcloud.com', 'volces.com'],
  ...['jdcloud.com', 'ntruss.com', 'ovh.net', 'scw.cloud', 'jfrog.io', 'googleusercontent.com', 'nip.io', 'sslip.io'],
];

/** Names inside a Kubernetes cluster: who owns the namespace owns them. */
const clusterName = /^[^.]+\.([^.]+\.svc\.cluster\.local)$/;

const aliyunRegion = '(?:ap|cn|eu|me|na|rus|sa|us)-[a-z0-9-]+';

/**
 * Vendors whose token server is neither on the registry's host nor under its owner's domain. The sources are in
 * docs/compatibility.md, section "Registries".
 */
const knownPairs: ReadonlyArray<{ registry: RegExp; realm: RegExp }> = [
  // Alibaba, personal edition (old and new names) and enterprise edition; the token server may be that of another
  // region. The region's prefix keeps out buckets of the object storage, `dockerauth.oss-cn-….aliyuncs.com`, whose
  // names anyone can take.
  {
    registry: new RegExp(
      `^(?:registry(?:-[a-z]+)?\\.${aliyunRegion}|[a-z0-9-]+\\.${aliyunRegion}(?:\\.personal)?\\.cr)\\.aliyuncs\\.com$`,
    ),
    realm: new RegExp(`^dockerauth(?:-(?:ee|internal|intl|vpc))*[.-]${aliyunRegion}\\.aliyuncs\\.com$`),
  },
  // Scaleway.
  { registry: /^rg\.[a-z]{2}-[a-z]{3}\.scw\.cloud$/, realm: /^api\.scaleway\.com$/ },
  // NVIDIA NGC.
  { registry: /^nvcr\.io$/, realm: /^authn\.nvidia\.com$/ },
  // Red Hat; newer challenges name registry.redhat.io itself.
  { registry: /^registry\.redhat\.io$/, realm: /^sso\.redhat\.com$/ },
  // LinuxServer's name for its packages at GitHub.
  { registry: /^lscr\.io$/, realm: /^ghcr\.io$/ },
];

export interface RealmRules {
  /** Host name of the registry, without port. */
  registryHost: string;
  /** The registry's name in references. */
  registry: string;
  /** The registry is reached over plain http, or its certificate is not checked: then so may the token server. */
  insecure: boolean;
  /** `host` or `host:port`. */
  allowedRealms: readonly string[];
  /** A login would be sent to the token server. */
  hasLogin: boolean;
}

/**
 * The URL of the token server that a registry names, where it may be asked. It must speak https. A login is sent only
 * to the registry's own host, to one that belongs to it, or to one that the user has allowed. Without a login nothing
 * secret is sent, so any host will do; its address still has to be checked by `checkAddress`, since the request comes
 * from inside this network.
 *
 * @param realm as the challenge has it; may be relative
 * @param base URL that the challenge came from
 * @throws TranshipError `unsafe`, permanent
 */
export async function checkRealm(realm: string, base: URL, rules: RealmRules): Promise<URL> {
  const named = realm.length > 2048 ? null : URL.parse(realm, base.href);
  if (named === null) throw unsafe(rules, 'the token server it names is not a URL');
  if (named.username !== '' || named.password !== '') {
    throw unsafe(rules, 'the token server it names has a login in its URL');
  }
  const url = withHomeScheme(named, base);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && rules.insecure)) {
    const scheme = url.protocol.slice(0, -1);
    throw unsafe(
      rules,
      rules.hasLogin
        ? `it wants the login sent to ${url.host} over ${scheme}, not https`
        : `its token server ${url.host} speaks ${scheme}, not https`,
      'give the token server https, or set insecure: true in the auth entry of the registry',
    );
  }
  if (!rules.hasLogin || isAllowedHost(url, rules.allowedRealms)) return url;
  if (await belongsTo(bareHost(url.hostname), bareHost(rules.registryHost))) return url;
  throw unsafe(
    rules,
    `it wants the login sent to ${url.host}, which is not known to belong to it`,
    `if ${url.host} is its token server, allow it with --allow-realm ${url.host}`,
  );
}

/**
 * A URL that a server gave, with the scheme and port by which that server itself was reached, where it names its own
 * host over plain http. Behind a proxy that ends TLS many registries do not know that they are reached by https, and on
 * which port (distribution/distribution#996). Safe: the request goes where the last one went, and over TLS.
 */
export function withHomeScheme(url: URL, from: URL): URL {
  const isOwn = url.hostname === from.hostname && (url.port === '' || url.port === from.port);
  if (from.protocol !== 'https:' || url.protocol !== 'http:' || !isOwn) return url;
  return new URL(`${from.origin}${url.pathname}${url.search}`);
}

/** Whether the user has named the URL's host, with its port or without one. */
export function isAllowedHost(url: { hostname: string; host: string }, allowed: readonly string[]): boolean {
  return allowed.some((entry) => {
    const name = entry.toLowerCase();
    return name === url.host.toLowerCase() || name === url.hostname.toLowerCase() || name === bareHost(url.hostname);
  });
}

/**
 * Whether the token server `realm` is the registry's host, has the same owner, or is one that its vendor is known to
 * use.
 */
async function belongsTo(realm: string, registry: string): Promise<boolean> {
  if (realm === registry) return true;
  const kinds = [literalKind(realm), literalKind(registry)];
  // 127.0.0.1 and localhost are one machine; any other address shares nothing with a name.
  if (kinds.some((kind) => kind !== undefined)) return kinds[0] === 'loopback' && kinds[1] === 'loopback';
  const owner = await ownerOf(registry);
  if (owner !== undefined && owner === (await ownerOf(realm))) return true;
  return knownPairs.some((pair) => pair.registry.test(registry) && pair.realm.test(realm));
}

/** The domain that the owner of a host has registered; undefined where each host below it may have another owner. */
async function ownerOf(host: string): Promise<string | undefined> {
  if (sharedDomains.some((domain) => host === domain || host.endsWith(`.${domain}`))) return undefined;
  const namespace = clusterName.exec(host)?.[1];
  // The list of public suffixes takes 8 ms and 5 MB, and most token servers are on the registry's own host.
  const { getDomain } = await import('tldts');
  // With private domains: below github.io or deno.dev each name has an owner of its own.
  return namespace ?? getDomain(host, { allowPrivateDomains: true }) ?? undefined;
}

function unsafe(rules: RealmRules, what: string, mend?: string): TranshipError {
  return new TranshipError(`${rules.registry} is refused: ${what}`, {
    class: 'permanent',
    code: 'unsafe',
    registry: rules.registry,
    operation: 'get token',
    mend,
  });
}
