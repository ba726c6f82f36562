import { setTimeout as sleep } from 'node:timers/promises';
import type { PushTarget } from '../../../testing/push.ts';
import { startDistributionPair } from '../distribution.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../faulty-registry.ts';
import { auditCopies } from './audit.ts';
import { type Deployment, deploy } from './deployment.ts';

export interface BetweenRegistries<Name extends string> extends Deployment {
  source: FaultyRegistry;
  destination: FaultyRegistry;
  /** The source repository of a rule, around the proxy. */
  at(name: Name): PushTarget;
  /** What is wrong at the destination of a rule, by the registries themselves. */
  auditCopies(name: Name, options?: { without?: string[] }): Promise<string[]>;
  clearFaults(): void;
}

/**
 * The stack deployed between two CNCF distributions, each behind a proxy that misbehaves when told.
 * @param names of rules; each has the repository `<name>/app` at both
 * @param many names of rules for all repositories `<name>/*`, which mirror deletions
 * @param metered names of rules with a budget of pulls
 */
export async function deployBetweenRegistries<Name extends string>(
  names: readonly Name[],
  many: readonly string[] = [],
  metered: readonly Name[] = [],
): Promise<BetweenRegistries<Name>> {
  const pair = await startDistributionPair();
  const source = await startFaultyRegistry({ upstream: pair.source.url });
  const destination = await startFaultyRegistry({ upstream: pair.destination.url });
  const ruleFor = (name: string, end: string) => ({
    name,
    from: `${source.host}/${name}/${end}`,
    to: [`${destination.host}/${name}/${end}`],
  });
  const deployment = await deploy([
    ...names.map((name) => ({ ...ruleFor(name, 'app'), ...(metered.includes(name) && { pulls: '1000/6h' }) })),
    ...many.map((name) => ({ ...ruleFor(name, '*'), delete: { max: '50%' } })),
  ]);
  const login = { insecure: true };
  deployment.host.putSecret('Logins/Secret', JSON.stringify({ [source.host]: login, [destination.host]: login }));
  const at = (name: Name) => ({ url: pair.source.url, repository: `${name}/app` });
  return {
    ...deployment,
    source,
    destination,
    at,
    auditCopies: (name, options) =>
      auditCopies(at(name), { url: pair.destination.url, repository: `${name}/app` }, options),
    clearFaults() {
      source.setFaults([]);
      destination.setFaults([]);
    },
    async close() {
      await deployment.close();
      await Promise.all([source.close(), destination.close()]);
      await pair.close();
    },
  };
}

/** Waits until something holds. */
export async function until(holds: () => boolean, timeoutMs = 240_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not after ${timeoutMs} ms: ${holds}`);
    await sleep(10);
  }
}
