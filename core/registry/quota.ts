import type { IncomingHttpHeaders } from 'node:http';
import { type Call, callError } from './call.ts';
import { type KnownQuota, parsePullQuota } from './headers/rate-limit.ts';
import type { RegistryClient } from './state.ts';

/** A spent quota is asked for again after the time that it gives to one pull, within these bounds. */
const SHORTEST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3_600_000;

/** Notes what a response says of the quota of its registry. */
export function noteQuota(client: RegistryClient, registry: string, headers: IncomingHttpHeaders): void {
  const quota = parsePullQuota(headers);
  if (quota !== undefined) client.quotas.set(registry, { ...quota, at: Date.now() });
}

/**
 * Until when a registry is left alone, epoch ms, because its quota of pulls is spent; undefined where one may be begun.
 * The window slides, so no registry tells when the next pull comes free: an even pace is the best guess.
 */
export function quotaPause(quota: KnownQuota | undefined, now: number): number | undefined {
  if (quota === undefined || quota.remaining > 0) return undefined;
  const paceMs = Math.min(Math.max(quota.windowMs / quota.limit, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS);
  const until = Math.ceil(quota.at + paceMs);
  return until > now ? until : undefined;
}

/**
 * Called before a GET of a manifest, which registries with a quota count as a pull. Where the quota was spent some time
 * ago, a HEAD tells what it is now, and counts nothing.
 *
 * @param ask sends that HEAD
 * @throws TranshipError `throttled` where no pull is left: before the registry has to say so; or what
 *   `client.options.beforePull` throws
 */
export async function beginPull(call: Call, ask: () => Promise<void>): Promise<void> {
  const { quotas, options } = call.client;
  const { registry } = call.repository;
  const known = quotas.get(registry);
  if (known !== undefined && known.remaining <= 0 && quotaPause(known, Date.now()) === undefined) {
    await ask();
    // It told nothing: the next GET will.
    if (quotas.get(registry) === known) quotas.delete(registry);
  }
  const quota = quotas.get(registry);
  const until = quotaPause(quota, Date.now());
  if (quota !== undefined && until !== undefined) throw spent(call, quota, until);
  // Before anything is waited for: others ask at the same time.
  if (quota !== undefined) quota.remaining -= 1;
  await options.beforePull?.(call.repository);
}

function spent(call: Call, { limit, windowMs }: KnownQuota, retryAt: number) {
  const hours = Math.round(windowMs / 360_000) / 10;
  return callError(call, `the quota of ${call.repository.registry}, ${limit} pulls in ${hours} hours, is spent`, {
    class: 'throttled',
    code: 'throttled',
    retryAt,
    mend: 'an account, or a paid one, may pull more: give its login',
  });
}
