import type { Repository } from './reference.ts';

/** What one entry of an auth file says about a registry or a namespace of it. */
export interface AuthEntry {
  username?: string;
  password?: string;
  /** An OAuth2 refresh token (Docker's `identitytoken`). */
  identityToken?: string;
  /** A bearer token to use as it is (Docker's `registrytoken`). */
  registryToken?: string;
  /** Plain http, or https whose certificate is not checked. */
  insecure?: boolean;
  /** PEM text: an own certificate authority, a client certificate and its key. */
  ca?: string;
  cert?: string;
  key?: string;
  /** Who gives the login, in place of what stands above. */
  provider?: LoginProvider;
  /** For `ecr`: a profile of AWS's own files; the default chain of credentials, if left out. */
  profile?: string;
  /** For `google`: the path of a key file; the environment's, if left out. */
  keyFile?: string;
  /** For `azure`: the client id of a managed identity, where the machine has several. */
  clientId?: string;
}

/** A cloud whose logins to its registry are short-lived, and got by another login. */
export const loginProviders = ['ecr', 'google', 'azure'] as const;
export type LoginProvider = (typeof loginProviders)[number];

/**
 * Logins by repository: the longest configured `registry[/namespace…]` that holds the repository, by whole segments.
 */
export interface Credentials {
  /**
   * @param options.fresh the registry has just refused what was given before: gives what the store holds now, not what
   *   was read earlier. A store that was just read is read again after a few seconds, and the call waits for that.
   * @param options.warn told what keeps a login from being found while access goes on without; the same texts each time
   * @returns undefined for anonymous access
   */
  lookup(
    repository: Repository,
    options?: { fresh?: boolean; warn?: (message: string) => void },
  ): Promise<AuthEntry | undefined>;
}
