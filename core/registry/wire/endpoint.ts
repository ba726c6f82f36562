import { getCACertificates } from 'node:tls';
import type { AuthEntry } from '../../model/credentials.ts';
import { dockerHub } from '../../model/reference.ts';
import { waitFor } from '../abort.ts';
import { type Challenge, parseChallenges } from '../auth/challenge.ts';
import type { Call } from '../call.ts';
import { errorOf } from '../http-error.ts';
import type { Endpoint, RegistryClient } from '../state.ts';
import { guardedLookup } from './address-guard.ts';
import { discard } from './body.ts';
import { exchange, type RegistryResponse } from './exchange.ts';
import { isNoTls } from './network-error.ts';
import { createDispatcher } from './proxy.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * The endpoint of a registry under the TLS settings of a login. Whether an `insecure` one speaks https is found out once.
 * @throws TranshipError where the registry cannot be reached; the next call tries again
 */
export async function endpointFor(call: Call, login: AuthEntry | undefined): Promise<Endpoint> {
  const { client, repository, signal } = call;
  const key = JSON.stringify([repository.registry, login?.insecure ?? false, login?.ca, login?.cert, login?.key]);
  let endpoint = client.endpoints.get(key);
  if (endpoint === undefined) {
    // Shared by all calls: it ends with the client, not with the call that began it.
    const shared = { ...call, operation: 'ping', subject: repository.registry, signal: client.closing.signal };
    endpoint = openEndpoint(shared, login);
    client.endpoints.set(key, endpoint);
    endpoint.catch(() => client.endpoints.delete(key));
  }
  return waitFor(endpoint, signal);
}

async function openEndpoint(call: Call, login: AuthEntry | undefined): Promise<Endpoint> {
  const { registry } = call.repository;
  const host = registry === dockerHub ? 'registry-1.docker.io' : registry;
  const https = makeEndpoint(call.client, registry, new URL(`https://${host}/`), login);
  try {
    await ping(call, https);
    return https;
  } catch (error) {
    await closeEndpoint(https);
    if (login?.insecure !== true || !isNoTls((error as Error).cause)) throw error;
  }
  const http = makeEndpoint(call.client, registry, new URL(`http://${host}/`), login);
  try {
    await ping(call, http);
    return http;
  } catch (error) {
    await closeEndpoint(http);
    throw error;
  }
}

/** Ends all connections at once. */
export async function closeEndpoint({ agent, uploadAgent, foreignAgent }: Endpoint): Promise<void> {
  await Promise.all([agent.destroy(), uploadAgent.destroy(), foreignAgent.destroy()]);
}

function makeEndpoint(client: RegistryClient, registry: string, base: URL, login: AuthEntry | undefined): Endpoint {
  const { connectionsPerRegistry: connections, stallMs, allowedRealms, proxy } = client.options;
  const insecure = login?.insecure === true;
  const common = { allowH2: false, connections, headersTimeout: stallMs, bodyTimeout: stallMs };
  const tls = {
    timeout: CONNECT_TIMEOUT_MS,
    rejectUnauthorized: !insecure,
    // `ca` replaces Node's list; an own authority is meant in addition (storage behind redirects has a public one).
    ...(login?.ca !== undefined && { ca: [...getCACertificates('default'), login.ca] }),
  };
  const own = {
    ...(login?.cert !== undefined && { cert: login.cert }),
    ...(login?.key !== undefined && { key: login.key }),
  };
  const isExempt = (hostname: string) => allowedRealms.some((host) => host.replace(/:\d+$/, '') === hostname);
  const lookup = guardedLookup(base.hostname, isExempt);
  return {
    registry,
    base,
    insecure,
    agent: createDispatcher(proxy, { ...common, connect: { ...tls, ...own } }),
    uploadAgent: createDispatcher(proxy, { ...common, connect: { ...tls, ...own } }),
    foreignAgent: createDispatcher(proxy, { ...common, connect: { ...tls, lookup } }),
    auth: { kind: 'none' },
  };
}

/**
 * Asks `/v2/` what login the registry wants. Some give the challenge only there (gcr.io; containers/image).
 * @throws TranshipError only where there is no response, or one that asks for patience
 */
export async function ping(call: Call, endpoint: Endpoint): Promise<void> {
  const response = await exchange(call, endpoint, { method: 'GET', url: new URL('/v2/', endpoint.base) });
  if (response.status === 429 || response.status >= 500) throw await errorOf(call, response);
  await discard(response.body);
  learnScheme(endpoint, response);
}

/** Notes what a 401 asks for, and returns its challenge. Bearer is preferred to Basic; anything else we do not speak. */
export function learnScheme(
  endpoint: Endpoint,
  response: Pick<RegistryResponse, 'status' | 'headers'>,
): Challenge | undefined {
  const challenges = parseChallenges(response.headers['www-authenticate']);
  const bearer = challenges.find(({ scheme, params }) => scheme === 'bearer' && params.has('realm'));
  if (bearer !== undefined) {
    endpoint.auth = { kind: 'bearer', realm: bearer.params.get('realm') ?? '', service: bearer.params.get('service') };
    return bearer;
  }
  const basic = challenges.find(({ scheme }) => scheme === 'basic');
  if (basic !== undefined) endpoint.auth = { kind: 'basic' };
  return basic;
}
