import { type AuthEntries, findAuth } from '../../core/config/auth-file.ts';
import type { Credentials } from '../../core/model/credentials.ts';
import { kept } from '../../core/model/kept.ts';

/**
 * Logins of an auth file. When a registry refuses one, the file is read again: somebody may have changed a password.
 * What is read must be whole; until then the logins from before hold.
 *
 * @param readAgain undefined for what can be read only once, such as a pipe
 */
export function fileCredentials(entries: AuthEntries, readAgain?: () => Promise<AuthEntries>): Credentials {
  let current = entries;
  const reread = readAgain && kept(async () => ({ value: await readAgain(), until: Number.POSITIVE_INFINITY }));
  return {
    async lookup(repository, { fresh = false, warn = () => {} } = {}) {
      if (fresh && reread) {
        try {
          current = await reread(true);
        } catch (error) {
          warn(`the auth file was not read again: ${error instanceof Error ? error.message : error}`);
        }
      }
      return findAuth(current, repository);
    },
  };
}
