import type { Repository } from '../model/reference.ts';
import { oneNameOf } from '../registry/ecr-host.ts';
import type { DialectName } from './dialect-name.ts';

/**
 * How a sender proves who it is, besides the token in the URL. Where there are lists, one or two: while a secret is
 * changed, the old and the new one hold.
 */
export type Authentication =
  /** By the URL alone: the token is the secret. */
  | { kind: 'url' }
  /** A signature over the raw body, in the dialect's own form. */
  | { kind: 'hmac'; secrets: string[] }
  /** A header with a fixed value, compared as a whole. */
  | { kind: 'header'; name: string; secrets: string[] }
  | { kind: 'basic'; logins: Array<{ username: string; password: string }> }
  | { kind: 'bearer'; secrets: string[] }
  /** A token that Google signed for this audience and this service account. */
  | { kind: 'google-oidc'; audience: string; email: string }
  /** Amazon SNS's signature, for these topics' ARNs. */
  | { kind: 'sns'; topics: string[] };

/** A sender of push events, as it is configured: the URL is its own, so nothing is guessed from what it sends. */
export interface Sender {
  /** In the URL: `/hooks/<name>/<token>`. */
  name: string;
  dialect: DialectName;
  /** None, one or two; at least one where `auth` is `url`. */
  urlTokens: string[];
  auth: Authentication;
  /** The registry as rules name it, whatever host the sender believes it has. */
  registry?: string;
  /**
   * Of a sender with several repositories inside (Artifactory, Nexus): which `registry[/path]` each is, by the sender's
   * key.
   */
  repositories?: Record<string, string>;
  /** The `registry[/namespace…]` it may speak for, by whole segments. At least one. */
  allow: string[];
  /** Accounts at the sender whose pushes are ignored, whether a rule takes them or not. */
  ownActors: string[];
}

/** True where the sender may speak for the repository. */
export function isAllowed(sender: Sender, { registry, repository }: Repository): boolean {
  const own = oneNameOf(registry);
  return sender.allow.some((entry) => {
    const [host = '', ...path] = entry.split('/');
    const namespace = path.join('/');
    return oneNameOf(host) === own && (namespace === '' || `${repository}/`.startsWith(`${namespace}/`));
  });
}

/** What only the sender and this product know, besides the tokens in the URL. */
export function secretsOf(auth: Authentication): string[] {
  if (auth.kind === 'basic') return auth.logins.map(({ password }) => password);
  return auth.kind === 'hmac' || auth.kind === 'bearer' || auth.kind === 'header' ? auth.secrets : [];
}
