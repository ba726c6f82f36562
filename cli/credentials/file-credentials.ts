import type { Credentials } from '../../core/pipeline/ports.ts';
import { type AuthEntries, findAuth } from '../../core/rules/auth-file.ts';

/** Logins of an auth file that is read already. */
export function fileCredentials(entries: AuthEntries): Credentials {
  return { lookup: async (repository) => findAuth(entries, repository) };
}
