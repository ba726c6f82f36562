import type { AuthEntry } from '../../model/credentials.ts';
import { hasCode } from '../../model/errors.ts';
import { dockerHub } from '../../model/reference.ts';
import { waitFor } from '../abort.ts';
import { bearerChallenge, type Challenge, parseChallenges } from '../auth/challenge.ts';
import { type Call, callError } from '../call.ts';
import { errorOf } from '../http-error.ts';
import { paceOf } from '../pace.ts';
import { retryShared } from '../retry.ts';
import type { Endpoint, FoundEndpoint, OpenedEndpoint, RegistryClient } from '../state.ts';
import { guardedLookup, literalKind } from './address-guard.ts';
import { discard } from './body.ts';
import { createConnections } from './connections.ts';
import { commonFields, exchange, type RegistryResponse } from './exchange.ts';
import { isOfProxy, isWithoutTls } from './network-error.ts';
import { tlsContexts } from './trust.ts';

/** Where the server says that it keeps them longer. */
const MAX_IDLE_MS = 600_000;
/** A streamed body cannot be sent twice, so it never goes to a connection that has been idle for long. */
const MAX_UPLOAD_IDLE_MS = 4000;

/**
 * The endpoint of a registry under the TLS settings of a login. Whether an `insecure` one speaks https is found out
 * once. One that cannot be reached is tried again for all calls together, so that thousands of tags do not each wait for a
 * registry that is down; those that come within a moment, or an eighth of the time that it was tried, fail as the others
 * did. In a run that is over when the next round begins, so each round tries it.
 * @throws TranshipError where the registry cannot be reached; not to be retried by the call
 */
export async function endpointFor(call: Call, login: AuthEntry | undefined): Promise<Endpoint> {
  const { client, repository, signal } = call;
  const key = JSON.stringify([repository.registry, login?.insecure ?? false, login?.ca, login?.cert, login?.key]);
  let known = client.endpoints.get(key);
  if (known === undefined) {
    // Shared by all calls: it ends with the client, not with the call that began it.
    const shared = { ...call, operation: 'ping', subject: repository.registry, signal: client.closing.signal };
    const { retry: policy, maxThrottleWaitMs, unreachableMs } = client.options;
    const from = performance.now();
    const opening: OpenedEndpoint = {
      opened: retryShared(policy, { signal: shared.signal, maxThrottleWaitMs }, () => openEndpoint(shared, login)),
    };
    client.endpoints.set(key, opening);
    opening.opened.then(
      (endpoint) => {
        opening.endpoint = endpoint;
      },
      () => {
        const restMs = Math.max(unreachableMs, (performance.now() - from) / 8);
        setTimeout(() => client.endpoints.delete(key), restMs).unref();
      },
    );
    known = opening;
  }
  return known.endpoint ?? waitFor(known.opened, signal);
}

async function openEndpoint(call: Call, login: AuthEntry | undefined): Promise<Endpoint> {
  const { registry } = call.repository;
  const found = call.client.options.foundEndpoint?.(registry);
  if (found !== undefined) {
    const endpoint = makeEndpoint(call.client, registry, new URL(found.base), {
      ...login,
      insecure: found.insecure,
    });
    endpoint.auth = found.auth;
    return endpoint;
  }
  const host = registry === dockerHub ? 'registry-1.docker.io' : registry;
  const [https, plain] = [new URL(`https://${host}/`), new URL(`http://${host}/`)];
  let refusal: unknown;
  try {
    return await openAt(call, https, login);
  } catch (error) {
    // As Docker: what goes to this machine itself needs no TLS to stay secret, so `localhost:5000` works without a word.
    if (login?.insecure === undefined && literalKind(https.hostname) === 'loopback' && isWithoutTls(error)) {
      return await openAt(call, plain, { ...login, insecure: true });
    }
    if (login?.insecure !== true) throw error;
    // A proxy that reads TLS answers 502 itself where it finds none behind it. So may a gateway in front of a registry
    // that is down: then only what a registry would say in plain http is believed.
    if (hasCode(error, 'server-error')) {
      return await openAt(call, plain, login, isOfRegistry).catch(() => {
        throw error;
      });
    }
    // Nothing there, no TLS, or a proxy that leads to no such port: it may be plain http. So it may where nothing comes
    // back: a firewall drops what goes to port 443 (GoogleContainerTools/jib#1917), or a server waits for a line of
    // text.
    if (!hasCode(error, 'network', 'timeout')) throw error;
    if (isOfProxy(error)) refusal = error;
  }
  try {
    return await openAt(call, plain, login);
  } catch (error) {
    // What a proxy said to https tells more than that plain http leads nowhere.
    throw hasCode(error, 'network') && !isOfProxy(error) ? (refusal ?? error) : error;
  }
}

/** What a client has found out of registries, for another one. */
export function foundEndpoints({ endpoints }: RegistryClient, registries: readonly string[]): FoundEndpoint[] {
  return [...endpoints.values()].flatMap(({ endpoint }) => {
    if (endpoint === undefined || !registries.includes(endpoint.registry)) return [];
    const { registry, base, insecure, auth } = endpoint;
    return [{ registry, base: base.href, insecure, auth }];
  });
}

/** What a registry says to `/v2/`; not the 301 or 400 of a server that wants https. */
const isOfRegistry = (status: number) => status === 200 || status === 401;

async function openAt(
  call: Call,
  base: URL,
  login: AuthEntry | undefined,
  isTaken: (status: number) => boolean = () => true,
): Promise<Endpoint> {
  const endpoint = makeEndpoint(call.client, call.repository.registry, base, login);
  try {
    const status = await ping(call, endpoint);
    if (!isTaken(status)) throw callError(call, `status ${status}`, { class: 'transient', code: 'protocol', status });
    return endpoint;
  } catch (error) {
    closeEndpoint(endpoint);
    throw error;
  }
}

/** Ends all connections at once. */
export function closeEndpoint({ reads, uploads, foreign }: Endpoint): void {
  for (const connections of [reads, uploads, foreign]) connections.close();
}

function makeEndpoint(client: RegistryClient, registry: string, base: URL, login: AuthEntry | undefined): Endpoint {
  const { connectionsPerRegistry: most, stallMs, allowedRealms, proxy, userAgent, trust } = client.options;
  const insecure = login?.insecure === true;
  const contexts = tlsContexts(trust, registry, login);
  const common = {
    proxy,
    userAgent,
    proxyContext: contexts.proxy,
    rejectUnauthorized: !insecure,
    stallMs,
    signal: client.closing.signal,
    maxIdleMs: MAX_IDLE_MS,
  };
  const lent = () => client.lent.get(registry) ?? 0;
  const isExempt = (hostname: string) => allowedRealms.some((host) => host.replace(/:\d+$/, '') === hostname);
  return {
    registry,
    base,
    origin: base.origin,
    fields: commonFields(client, base),
    insecure,
    reads: createConnections({
      ...common,
      get most() {
        return Math.max(1, Math.max(most, paceOf(client, registry).limit()) - lent());
      },
      secureContext: contexts.own,
    }),
    uploads: createConnections({
      ...common,
      get most() {
        return Math.max(1, most - lent());
      },
      maxIdleMs: MAX_UPLOAD_IDLE_MS,
      secureContext: contexts.own,
    }),
    foreign: createConnections({
      ...common,
      most,
      secureContext: contexts.foreign,
      lookup: guardedLookup(base.hostname, isExempt),
    }),
    auth: { kind: 'none' },
    noResponse: undefined,
  };
}

/**
 * Asks `/v2/` what login the registry wants. Some give the challenge only there (gcr.io; containers/image).
 * @returns the status of the response
 * @throws TranshipError only where there is no response, or one that asks for patience
 */
export async function ping(call: Call, endpoint: Endpoint): Promise<number> {
  const response = await exchange(call, endpoint, { method: 'GET', url: '/v2/' });
  if (response.status === 429 || response.status >= 500) throw await errorOf(call, response);
  await discard(response.body);
  learnScheme(endpoint, response);
  return response.status;
}

/**
 * Notes what a 401 asks for, and returns its challenge. Bearer is preferred to Basic; anything else we do not speak.
 */
export function learnScheme(
  endpoint: Endpoint,
  response: Pick<RegistryResponse, 'status' | 'headers'>,
): Challenge | undefined {
  const header = response.headers['www-authenticate'];
  const bearer = bearerChallenge(header);
  if (bearer !== undefined) {
    endpoint.auth = { kind: 'bearer', realm: bearer.params.get('realm') ?? '', service: bearer.params.get('service') };
    return bearer;
  }
  const basic = parseChallenges(header).find(({ scheme }) => scheme === 'basic');
  if (basic !== undefined) endpoint.auth = { kind: 'basic' };
  return basic;
}
