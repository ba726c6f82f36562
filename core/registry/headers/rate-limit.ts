import type { IncomingHttpHeaders } from 'node:http';

/** What a registry says of its quota of pulls. */
export interface PullQuota {
  /** Pulls in a window, and how many of them are left. */
  limit: number;
  remaining: number;
  windowMs: number;
}

/** The quota of a registry as it was told last, less the pulls that were begun since. */
export interface KnownQuota extends PullQuota {
  /** When it was told, epoch ms. */
  at: number;
}

/**
 * Reads `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining: 37;w=21600`, as Docker Hub sends them with manifests,
 * to HEAD too. Without a window it is another kind of limit (GitLab's counts all requests), and undefined. Never throws.
 * @see https://docs.docker.com/docker-hub/usage/pulls/ and draft-polli-ratelimit-headers-03
 */
export function parsePullQuota(headers: IncomingHttpHeaders): PullQuota | undefined {
  const limit = parseItem(headers['ratelimit-limit']);
  const remaining = parseItem(headers['ratelimit-remaining']);
  const windowMs = (limit?.windowS ?? remaining?.windowS ?? 0) * 1000;
  if (limit === undefined || remaining === undefined || limit.count === 0 || windowMs === 0) return undefined;
  return { limit: limit.count, remaining: Math.min(remaining.count, limit.count), windowMs };
}

function parseItem(header: string | string[] | undefined): { count: number; windowS: number | undefined } | undefined {
  const match = /^(\d{1,9})(?:[ \t]*;[ \t]*w=(\d{1,7}))?[ \t]*$/.exec(typeof header === 'string' ? header.trim() : '');
  if (match === null) return undefined;
  return { count: Number(match[1]), windowS: match[2] === undefined ? undefined : Number(match[2]) };
}
