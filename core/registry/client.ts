import { LRUCache } from 'lru-cache';
import { REFRESH_EVERY_MS } from './auth/authorize.ts';
import { MIRROR_REST_MS, MIRROR_TRIED_MS } from './mirrors.ts';
import { UNANSWERED_MS } from './patience.ts';
import { defaultRetry } from './retry.ts';
import type { RegistryClient, RegistryClientOptions } from './state.ts';
import { closeEndpoint } from './wire/endpoint.ts';
import { bareTrust } from './wire/trust.ts';

export type { RegistryClient, RegistryClientOptions, RequestEvent } from './state.ts';

/** So many tags of referrers are remembered, of all repositories: some 50 MB. */
const MOST_REFERRER_TAGS = 500_000;

/** A client for any number of registries. Opens no connection; free it with {@link closeRegistryClient}. */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  return {
    options: {
      connectionsPerRegistry: 16,
      retry: defaultRetry,
      userAgent: 'tranship',
      allowedRealms: [],
      maxThrottleWaitMs: 5000,
      stallMs: 60_000,
      unreachableMs: 400,
      trust: bareTrust,
      ...options,
    },
    endpoints: new Map(),
    reaches: new Map(),
    tokens: new LRUCache({ max: 2000 }),
    lent: new Map(),
    paces: new LRUCache({ max: 1000 }),
    quirks: new LRUCache({ max: 1000 }),
    referrerTags: new LRUCache({
      max: 1000,
      maxSize: MOST_REFERRER_TAGS,
      sizeCalculation: ({ known }) => 1 + (known?.size ?? 0),
    }),
    quotas: new LRUCache({ max: 1000 }),
    mirrorsAtRest: new LRUCache({ max: 1000, ttl: MIRROR_REST_MS }),
    mirrorsTried: new LRUCache({ max: 2000, ttl: MIRROR_TRIED_MS }),
    unanswered: new LRUCache({ max: 1000, ttl: UNANSWERED_MS }),
    refreshedLogins: new LRUCache({ max: 1000, ttl: REFRESH_EVERY_MS }),
    warned: new LRUCache({ max: 1000 }),
    closing: new AbortController(),
  };
}

/** Closes all connections; what is still running fails as `network`. */
export async function closeRegistryClient(client: RegistryClient): Promise<void> {
  client.closing.abort();
  const endpoints = await Promise.allSettled([...client.endpoints.values()].map(({ opened }) => opened));
  client.endpoints.clear();
  client.reaches.clear();
  client.tokens.clear();
  for (const opened of endpoints) if (opened.status === 'fulfilled') closeEndpoint(opened.value);
}
