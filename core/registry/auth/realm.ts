import { TranshipError } from '../../model/errors.ts';
import { bareHost, literalKind } from '../wire/address-guard.ts';

/** Domains under which strangers get names, so that two hosts below one of them have nothing in common. */
const sharedDomains = new Set([
  ...['amazonaws.com', 'aliyuncs.com', 'azurecr.io', 'azurewebsites.net', 'azurecontainerapps.io', 'cloudapp.net'],
  ...['cloudfront.net', 'fly.dev', 'github.io', 'gitlab.io', 'herokuapp.com', 'jfrog.io', 'netlify.app', 'ngrok.io'],
  ...['ngrok-free.app', 'onrender.com', 'pages.dev', 'pkg.dev', 'run.app', 'scw.cloud', 'ts.net', 'vercel.app'],
  ...['workers.dev', 'nip.io', 'sslip.io', 'duckdns.org', 'dyndns.org', 'trycloudflare.com', 'web.app'],
]);
/** `co.uk`, `com.au`, `or.jp`: second levels that are sold like top levels. */
const soldSecondLevel = /^(?:ac|co|com|edu|go|gob|gov|gouv|mil|ne|net|nom|or|org|sch)\.[a-z]{2}$/;

/** Vendors whose token server is not the registry's host nor its neighbour. */
const knownPairs: Array<[registry: RegExp, realm: RegExp]> = [
  // Alibaba: registry.<region> and <name>-registry.<region>.cr ask dockerauth[-…].<region>.
  [
    /^(?:[a-z0-9-]+\.)(?:[a-z]+-[a-z0-9-]+)(?:\.cr)?\.aliyuncs\.com$/,
    /^dockerauth(?:-[a-z]+)*\.[a-z]+-[a-z0-9-]+\.aliyuncs\.com$/,
  ],
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
}

/**
 * Makes sure that credentials may be sent to the token server that a registry names: https, and the registry's own host, one
 * that belongs to it, or one that the user has allowed.
 *
 * @param realm as the challenge has it; may be relative
 * @param base URL that the challenge came from
 * @throws TranshipError `unsafe`, permanent
 */
export function checkRealm(realm: string, base: URL, rules: RealmRules): URL {
  const url = realm.length > 2048 ? null : URL.parse(realm, base.href);
  if (url === null) throw unsafe(rules, 'the token server it names is not a URL');
  if (url.username !== '' || url.password !== '')
    throw unsafe(rules, 'the token server it names has a login in its URL');
  const isAllowed = isAllowedHost(url, rules.allowedRealms);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && rules.insecure)) {
    throw unsafe(
      rules,
      `it wants the login sent to ${url.host} over ${url.protocol.slice(0, -1)}, not https`,
      'give the token server https, or set insecure: true in the auth entry of the registry',
    );
  }
  if (isAllowed || belongsTo(bareHost(url.hostname), bareHost(rules.registryHost))) return url;
  throw unsafe(
    rules,
    `it wants the login sent to ${url.host}, which is not known to belong to it`,
    `if ${url.host} is its token server, allow it with --allow-realm ${url.host}`,
  );
}

/** True where the user has named the URL's host, with its port or without one. */
export function isAllowedHost(url: { hostname: string; host: string }, allowed: readonly string[]): boolean {
  return allowed.some((entry) => {
    const name = entry.toLowerCase();
    return name === url.host.toLowerCase() || name === url.hostname.toLowerCase() || name === bareHost(url.hostname);
  });
}

/** Is the token server `realm` the registry's host, a name below it, or a neighbour under the same owner's domain? */
function belongsTo(realm: string, registry: string): boolean {
  if (realm === registry) return true;
  const kinds = [literalKind(realm), literalKind(registry)];
  // 127.0.0.1 and localhost are one machine; any other address shares nothing with a name.
  if (kinds.some((kind) => kind !== undefined)) return kinds[0] === 'loopback' && kinds[1] === 'loopback';
  if (isOwned(registry) && realm.endsWith(`.${registry}`)) return true;
  const parent = registry.slice(registry.indexOf('.') + 1);
  if (isOwned(parent) && (realm === parent || realm.slice(realm.indexOf('.') + 1) === parent)) return true;
  return knownPairs.some(([registries, realms]) => registries.test(registry) && realms.test(realm));
}

/** Has the domain one owner, as far as can be told without the list of public suffixes? */
function isOwned(domain: string): boolean {
  if (!domain.includes('.') || soldSecondLevel.test(domain)) return false;
  return ![...sharedDomains].some((shared) => domain === shared || domain.endsWith(`.${shared}`));
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
