import { type AuthEntries, findAuth } from '../../core/config/auth-file.ts';
import type { Credentials } from '../../core/model/credentials.ts';

/** Logins of an auth file that is read already. */
export function fileCredentials(entries: AuthEntries): Credentials {
  return { lookup: async (repository) => findAuth(entries, repository) };
}
