import type { AuthEntry } from '../model/credentials.ts';
import { formatRepository } from '../model/reference.ts';
import { lookupLogin } from './auth/authorize.ts';
import type { Call } from './call.ts';
import type { Reach } from './state.ts';
import { endpointFor } from './wire/endpoint.ts';

/**
 * A login is asked for again after so long. Its store keeps it for longer; this spares a run of small requests the way there,
 * which costs as much as the request.
 */
const KEPT_MS = 1000;
/** Of so many repositories at most. All are forgotten then: they would be in a moment. */
const MOST_KEPT = 1000;

/** How the repository of a call was reached a moment ago. */
export function knownReach({ client, repository }: Call): Reach | undefined {
  const kept = client.reaches.get(formatRepository(repository));
  return kept !== undefined && performance.now() < kept.until ? kept : undefined;
}

/**
 * How the repository of a call is reached, with the login that its store has now.
 * @throws TranshipError where no login can be had, or the registry cannot be reached
 */
export async function findReach(call: Call): Promise<Reach> {
  return reachWith(call, await lookupLogin(call));
}

/**
 * How the repository is reached with this login, which the next calls use too.
 * @throws TranshipError where the registry cannot be reached
 */
export async function reachWith(call: Call, login: AuthEntry | undefined): Promise<Reach> {
  const endpoint = await endpointFor(call, login);
  const reach = { endpoint, login, until: performance.now() + KEPT_MS };
  const { reaches } = call.client;
  if (reaches.size >= MOST_KEPT) reaches.clear();
  reaches.set(formatRepository(call.repository), reach);
  return reach;
}
