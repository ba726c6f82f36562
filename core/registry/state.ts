import type { LRUCache } from 'lru-cache';
import type { AuthEntry, Credentials } from '../model/credentials.ts';
import type { Repository } from '../model/reference.ts';
import type { AuthScheme } from './auth/scheme.ts';
import type { KnownQuota } from './headers/rate-limit.ts';
import type { Pace } from './pace.ts';
import type { Quirks } from './quirks.ts';
import type { RetryPolicy } from './retry.ts';
import type { EcrImages } from './vendors/ecr-images.ts';
import type { Connections } from './wire/connections.ts';
import type { ProxySettings } from './wire/proxy.ts';
import type { TrustStore } from './wire/trust.ts';

/** One HTTP request, for counters. `status` is left out where no response came. */
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
  /**
   * Sockets to one registry, and as many to the hosts that it redirects to. Default 16. Where short questions may be asked in
   * greater number (pace.ts), there are more for them.
   */
  connectionsPerRegistry?: number;
  /** For all calls but those that stream a blob. Default: 4 attempts, from 500 ms to 15 s. */
  retry?: RetryPolicy;
  userAgent?: string;
  /**
   * Hosts, as `host` or `host:port`, that may be asked for tokens and redirected to besides those that belong to the
   * registry.
   */
  allowedRealms?: string[];
  /** A 429 that asks for at most this is waited out inside the call. Default 5000. */
  maxThrottleWaitMs?: number;
  /** Silence of a peer after which a request is given up. Default 60,000. */
  stallMs?: number;
  /** For so long, at least, a registry that could not be reached counts as such. Default 400: others try again soon. */
  unreachableMs?: number;
  /** Default: registries are reached directly. */
  proxy?: ProxySettings;
  /** Default: the authorities that Node knows. */
  trust?: TrustStore;
  /** ECR's own API, where there is a login for it. */
  ecrImages?: EcrImages;
  /** Where a repository's manifests and blobs are read first, by digest, in this order. */
  mirrors?: (repository: Repository) => readonly Repository[];
  /** Called before each GET of a manifest, which registries with a quota count; what it throws is thrown on. */
  beforePull?: (repository: Repository) => Promise<void>;
  onRequest?: (event: RequestEvent) => void;
  /**
   * A registry's own warning, or something odd in its responses. Each text once. `topic`: the registry's name, or what else
   * it is about.
   */
  onWarning?: (message: string, topic: string) => void;
  /** How a registry is reached, where another client has found it out. */
  foundEndpoint?: (registry: string) => FoundEndpoint | undefined;
}

type Optional = 'beforePull' | 'ecrImages' | 'foundEndpoint' | 'mirrors' | 'onRequest' | 'onWarning' | 'proxy';

/** All state of talking to registries. Its fields belong to the functions of this folder. */
export interface RegistryClient {
  readonly options: Required<Omit<RegistryClientOptions, Optional>> & Pick<RegistryClientOptions, Optional>;
  /** By registry and TLS settings. */
  readonly endpoints: Map<string, OpenedEndpoint>;
  /** By repository: how it was reached a moment ago. */
  readonly reaches: Map<string, KeptReach>;
  /** By endpoint, token server, scopes and login. */
  readonly tokens: LRUCache<string, CachedToken>;
  /** By registry: connections less for this client, since other threads of the process use them. */
  readonly lent: Map<string, number>;
  /** By registry: how many short questions are in flight. */
  readonly paces: LRUCache<string, Pace>;
  /** By registry. */
  readonly quirks: LRUCache<string, Quirks>;
  /** By registry, of those that tell. */
  readonly quotas: LRUCache<string, KnownQuota>;
  /** Mirrors that could not be read a short while ago, by registry. */
  readonly mirrorsAtRest: LRUCache<string, true>;
  /** Blobs that have been begun at mirrors, by mirror and digest. */
  readonly mirrorsTried: LRUCache<string, true>;
  /** Reads that got no answer in time, see `patience.ts`. */
  readonly unanswered: LRUCache<string, true>;
  /** Registries whose logins were read afresh a short while ago. */
  readonly refreshedLogins: LRUCache<string, true>;
  /** By repository: which tags of referrers it has, see `referrer-tags.ts`. */
  readonly referrerTags: LRUCache<string, ReferrerTags>;
  /** By registry or other topic: the warnings that were told. */
  readonly warned: LRUCache<string, Set<string>>;
  /** Aborted when the client is closed: ends work that calls share. */
  readonly closing: AbortController;
}

/** The tags of signatures, attestations and referrers indexes that a repository had at a time. */
export interface ReferrerTags {
  /** Epoch ms before the list was asked for. */
  at: number;
  /** Undefined where the repository gives no list, or one that is too long to be read for this. */
  tags: Promise<ReadonlySet<string> | undefined>;
  /** The same, once they are there. */
  known?: ReadonlySet<string> | undefined;
  /** The list is too long to be read for one image. */
  isLong?: boolean;
}

/** How one registry is reached. */
export interface Endpoint {
  readonly registry: string;
  /** `https://registry-1.docker.io/` */
  readonly base: URL;
  /** Of its base. */
  readonly origin: string;
  /** Headers of all requests to it, as they go out. */
  readonly fields: string;
  /** Certificates are not checked, or there are none. */
  readonly insecure: boolean;
  /** For the registry's own origin. */
  readonly reads: Connections;
  /**
   * For bodies that are streamed to the registry's own origin. Separate, so that in a copy within one registry the
   * reads cannot take all connections that the writes wait for.
   */
  readonly uploads: Connections;
  /** For any other origin: no client certificate, and no addresses that the registry may not lead to. */
  readonly foreign: Connections;
  auth: AuthScheme;
  /** Since when requests got no response, and when the last of them did not, by performance.now(). */
  noResponse: { since: number; last: number } | undefined;
}

/** How a repository is reached: its endpoint, and who asks. */
export interface Reach {
  endpoint: Endpoint;
  /** Undefined for anonymous access. */
  login: AuthEntry | undefined;
}

export interface KeptReach extends Reach {
  /** By performance.now(). */
  until: number;
}

/** An endpoint that all calls share, from the moment when the first of them opens it. */
export interface OpenedEndpoint {
  opened: Promise<Endpoint>;
  /** The same, once it is open. */
  endpoint?: Endpoint;
}

/** What is found out of a registry before the first real request. Plain data. */
export interface FoundEndpoint {
  registry: string;
  /** Its base URL. */
  base: string;
  insecure: boolean;
  auth: AuthScheme;
}

export interface Token {
  token: string;
  /** Epoch ms. */
  expiresAt: number;
}

export interface CachedToken {
  promise: Promise<Token>;
  /** The token, once there is one. */
  value: Token | undefined;
}
