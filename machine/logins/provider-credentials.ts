import type { AuthEntry, Credentials } from '../../core/model/credentials.ts';
import { type TranshipError, toTranshipError } from '../../core/model/errors.ts';
import { kept } from '../../core/model/kept.ts';
import type { Repository } from '../../core/model/reference.ts';
import { parseEcrHost } from '../../core/registry/ecr-host.ts';
import type { LoginContext, ShortLogin } from './login.ts';

/** A login that cannot be got is not asked for again so soon: each tag would wait for the next refusal. */
const REFUSED_FOR_MS = 60_000;

/**
 * Logins with those of providers got, and renewed before they expire. What a provider needs is loaded when it is first
 * asked.
 */
export function providerCredentials(configured: Credentials, context: LoginContext): Credentials {
  const readers = new Map<string, (fresh: boolean) => Promise<AuthEntry>>();

  function readerFor(entry: AuthEntry, repository: Repository) {
    const { provider, profile, keyFile, clientId } = entry;
    // One login of ECR is for a region, or for ECR Public; one of Google for all registries, one of Azure for one.
    const scope = { ecr: parseEcrHost(repository.registry)?.region ?? '', google: '', azure: repository.registry };
    const key = JSON.stringify([provider, provider && scope[provider], profile, keyFile, clientId]);
    let reader = readers.get(key);
    if (reader === undefined) {
      reader = refusedOnce(
        kept(() => getLogin(entry, repository, context), { now: context.now }),
        context.now,
      );
      readers.set(key, reader);
    }
    return reader;
  }

  return {
    async lookup(repository, options) {
      const entry = await configured.lookup(repository, options);
      if (entry?.provider === undefined) return entry;
      return { ...entry, ...(await readerFor(entry, repository)(options?.fresh === true)) };
    },
  };
}

async function getLogin(entry: AuthEntry, repository: Repository, context: LoginContext): Promise<ShortLogin> {
  switch (entry.provider) {
    case 'ecr': {
      const { ecrLogin, ecrPublicLogin } = await import('./ecr.ts');
      const host = parseEcrHost(repository.registry);
      return host === undefined ? ecrPublicLogin(entry, context.now()) : ecrLogin(entry, host.region, context.now());
    }
    case 'google': {
      const { googleLogin } = await import('./google.ts');
      return googleLogin(entry, context);
    }
    default: {
      const { azureLogin } = await import('./azure.ts');
      return azureLogin(entry, repository, context);
    }
  }
}

/** Repeats a refusal for a while; what fails for the moment is tried again. */
function refusedOnce(
  read: (fresh: boolean) => Promise<AuthEntry>,
  now: () => number,
): (fresh: boolean) => Promise<AuthEntry> {
  let refusal: { error: TranshipError; until: number } | undefined;
  return async (fresh) => {
    if (refusal !== undefined && now() < refusal.until) throw refusal.error;
    try {
      return await read(fresh);
    } catch (thrown) {
      const error = toTranshipError(thrown);
      if (error.class !== 'transient') refusal = { error, until: now() + REFUSED_FOR_MS };
      throw error;
    }
  };
}
