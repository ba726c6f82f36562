import type { Credentials } from '../pipeline/ports.ts';
import { closeEndpoint, type Endpoint } from './endpoint.ts';
import type { RetryPolicy } from './retry.ts';
import type { CachedToken } from './token.ts';

/** One HTTP exchange, for counters; `status` is left out where no answer came. */
export interface RequestEvent {
  /** The registry it was for, also where the request went to a redirect's target or to a token server. */
  registry: string;
  method: string;
  /** Verb and object: `head manifest`, `get token`. */
  operation: string;
  status?: number;
}

export interface RegistryClientOptions {
  credentials: Credentials;
  /** Sockets to one registry, and as many to the hosts that it redirects to. Default 16. */
  connectionsPerRegistry?: number;
  /** For all calls but those that stream a blob. Default: 4 attempts, from 500 ms to 15 s. */
  retry?: RetryPolicy;
  userAgent?: string;
  /** Hosts, as `host` or `host:port`, that may be asked for tokens and redirected to besides those that belong to the registry. */
  allowedRealms?: string[];
  /** A 429 that asks for at most this is waited out inside the call. Default 5000. */
  maxThrottleWaitMs?: number;
  /** Silence of a peer after which a request is given up. Default 60,000. */
  stallMs?: number;
  onRequest?: (event: RequestEvent) => void;
  /** A registry's own warning, or an oddity in its answers; each text once. */
  onWarning?: (message: string) => void;
}

/** What a registry has shown that it cannot do; learned once, for as long as the client lives. */
export interface Quirks {
  /** PATCH was refused: a blob goes into the body of the PUT. */
  needsMonolithicPut: boolean;
  /** Repositories that a mount was refused from. */
  refusedMounts: Set<string>;
  /** No referrers API: the tag scheme is used. */
  lacksReferrersApi: boolean;
}

/** All state of talking to registries. Its fields belong to the functions of this folder. */
export interface RegistryClient {
  readonly options: Required<Omit<RegistryClientOptions, 'onRequest' | 'onWarning'>> &
    Pick<RegistryClientOptions, 'onRequest' | 'onWarning'>;
  /** By registry and TLS settings. */
  readonly endpoints: Map<string, Promise<Endpoint>>;
  readonly tokens: Map<string, CachedToken>;
  /** By registry. */
  readonly quirks: Map<string, Quirks>;
  /** By repository: when its login was last read afresh, epoch ms. */
  readonly refreshedAt: Map<string, number>;
  readonly warned: Set<string>;
}

/** A client for any number of registries. Opens no connection; free it with {@link closeRegistryClient}. */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  return {
    options: {
      connectionsPerRegistry: 16,
      retry: { attempts: 4, baseMs: 500, capMs: 15_000 },
      userAgent: 'tranship',
      allowedRealms: [],
      maxThrottleWaitMs: 5000,
      stallMs: 60_000,
      ...options,
    },
    endpoints: new Map(),
    tokens: new Map(),
    quirks: new Map(),
    refreshedAt: new Map(),
    warned: new Set(),
  };
}

/** Closes all connections; what is still running fails as `network`. */
export async function closeRegistryClient(client: RegistryClient): Promise<void> {
  const endpoints = await Promise.allSettled(client.endpoints.values());
  client.endpoints.clear();
  client.tokens.clear();
  await Promise.all(
    endpoints.flatMap((opened) => (opened.status === 'fulfilled' ? [closeEndpoint(opened.value)] : [])),
  );
}

/** What is known of a registry's limits. */
export function quirksOf(client: RegistryClient, registry: string): Quirks {
  let quirks = client.quirks.get(registry);
  if (quirks === undefined) {
    quirks = { needsMonolithicPut: false, refusedMounts: new Set(), lacksReferrersApi: false };
    client.quirks.set(registry, quirks);
  }
  return quirks;
}
