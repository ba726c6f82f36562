import type { AuthEntry } from '../../model/credentials.ts';
import { TranshipError } from '../../model/errors.ts';

/** A token lasts 12 hours, and must outlive each request that begins with it. */
const MARGIN_MS = 30 * 60_000;

/**
 * The login that ECR's `GetAuthorizationToken` gives, and the epoch ms until which it may be used.
 * @param now epoch ms
 * @throws TranshipError `protocol`, transient, where the response holds none
 */
export function parseEcrLogin(
  operation: string,
  data: { authorizationToken?: string; expiresAt?: Date } | undefined,
  now: number,
): { value: AuthEntry; until: number } {
  const text = Buffer.from(data?.authorizationToken ?? '', 'base64').toString();
  const colon = text.indexOf(':');
  if (colon < 1) {
    throw new TranshipError(`${operation}: the response holds none`, {
      class: 'transient',
      code: 'protocol',
      operation,
    });
  }
  return {
    value: { username: text.slice(0, colon), password: text.slice(colon + 1) },
    until: (data?.expiresAt?.getTime() ?? now) - MARGIN_MS,
  };
}
