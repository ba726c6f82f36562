import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import type { AuthEntry } from '../../model/credentials.ts';

/** What the host of the product knows about certificates, besides the authorities that Node brings along. */
export interface TrustStore {
  /** PEM certificates of authorities for all registries, one a string; the same array each time. */
  authorities(): Promise<readonly string[]>;
  /** What is set for one registry by its name in references. */
  forRegistry(registry: string): Promise<RegistryTrust>;
  /** Where a user can name the authority of a registry, for messages. */
  advice(registry: string): string;
}

/** PEM texts for one registry. */
export interface RegistryTrust {
  authorities: readonly string[];
  clients: ReadonlyArray<{ cert: string; key: string }>;
}

/** What a host without files trusts: Node's own list, and what auth entries name. */
export const bareTrust: TrustStore = {
  authorities: async () => [],
  forRegistry: async () => ({ authorities: [], clients: [] }),
  advice: (registry) =>
    `give its certificate authority as \`ca\` in the auth entry of ${registry}; \`insecure: true\` there checks none`,
};

/** The certificates in a PEM text, one a string, as Node's `ca` takes them; what is not a certificate is left out. */
export function splitPem(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? [];
}

/** What TLS connections trust and show, each made when it is first needed. */
export interface TlsContexts {
  /** To the registry itself: with its client certificate. */
  own: () => Promise<SecureContext>;
  /** To the hosts that the registry names: without. */
  foreign: () => Promise<SecureContext>;
  /** To proxies: only what holds for all registries. */
  proxy: () => Promise<SecureContext>;
}

/**
 * The TLS settings for a registry. Authorities add up: Node's, the host's for all, the host's for this registry, the
 * login's. A client certificate of the login comes before the host's. For an insecure login no authorities are read, which takes
 * longer than all else before the first request: nothing is checked by them.
 *
 * @throws (from each function) what OpenSSL says of a certificate or key that cannot be used
 */
export function tlsContexts(
  store: TrustStore,
  registry: string,
  login: Pick<AuthEntry, 'ca' | 'cert' | 'key' | 'insecure'> | undefined,
): TlsContexts {
  const isChecked = login?.insecure !== true;
  const settings = once(async () => {
    const [common, { authorities, clients }] = await Promise.all([
      isChecked ? store.authorities() : [],
      store.forRegistry(registry),
    ]);
    return {
      common,
      // Its own authority is meant in addition: storage behind redirects has a public one.
      authorities: login?.ca === undefined ? authorities : [...authorities, login.ca],
      clients: login?.cert !== undefined && login.key !== undefined ? [{ cert: login.cert, key: login.key }] : clients,
    };
  });
  const foreign = once(async () => {
    const { common, authorities } = await settings();
    if (!isChecked) return uncheckedContext();
    if (authorities.length === 0) return commonContext(common);
    return createSecureContext({ ...anyAnchor, ca: withNodes([...common, ...authorities]) });
  });
  return {
    foreign,
    own: once(async () => {
      const { common, authorities, clients } = await settings();
      if (clients.length === 0) return foreign();
      return createSecureContext({
        ...anyAnchor,
        ca: isChecked ? withNodes([...common, ...authorities]) : [],
        cert: clients.map(({ cert }) => cert),
        key: clients.map(({ key }) => key),
      });
    }),
    proxy: async () => commonContext(await store.authorities()),
  };
}

/** Whatever the user names is trusted, an authority below the root too, as by Go and curl. */
const anyAnchor = { allowPartialTrustChain: true };

/** Reading 150 certificates takes 20 ms, so registries without settings of their own share one context. */
const commonContexts = new WeakMap<readonly string[], SecureContext>();

let unchecked: SecureContext | undefined;

/** Without a list, Node would read its own. */
function uncheckedContext(): SecureContext {
  unchecked ??= createSecureContext({ ca: [] });
  return unchecked;
}

function commonContext(authorities: readonly string[]): SecureContext {
  let context = commonContexts.get(authorities);
  if (context === undefined) {
    const ca = withNodes(authorities);
    context = createSecureContext({ ...anyAnchor, ca });
    commonContexts.set(authorities, context);
  }
  return context;
}

/**
 * Node's default authorities (its list, and NODE_EXTRA_CA_CERTS) and others, each once. Undefined where there are no
 * others: then Node uses its list as it has it in memory.
 */
function withNodes(others: readonly string[]): string[] | undefined {
  const all = new Map(getCACertificates('default').map((pem) => [withoutBlanks(pem), pem]));
  const known = all.size;
  for (const pem of others) all.set(withoutBlanks(pem), pem);
  return all.size === known ? undefined : [...all.values()];
}

function withoutBlanks(pem: string): string {
  return pem.replace(/\s+/g, '');
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
