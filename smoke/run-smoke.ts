import type { Digest, Repository } from '../core/model/reference.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';

/** What the smoke test does to an account. Each function may be called again after it failed. */
export interface Account {
  makeRepository(name: string): Promise<Repository>;
  /** Pushes a small image. @returns its digest */
  push(repository: Repository, tag: string): Promise<Digest>;
  digestAt(repository: Repository, tag: string): Promise<Digest | undefined>;
  /** Deploys a stack of that name that copies one repository to another, each minute and when something is pushed. */
  deploy(name: string, from: Repository, to: Repository, signal: AbortSignal): Promise<{ ledger: Ledger }>;
  /** Removes what there is of a stack; nothing where there is none. */
  removeStack(name: string): Promise<void>;
  /** Removes a repository with its images; nothing where there is none. */
  removeRepository(name: string): Promise<void>;
}

export interface SmokeOptions {
  account: Account;
  /** Part of all names, so that two tests do not meet. */
  suffix: string;
  /** Fires when the user has had enough; what was made is removed all the same. */
  signal: AbortSignal;
  tell: (line: string) => void;
  now: () => number;
  sleep: (ms: number) => Promise<void>;
}

export interface SmokeReport {
  /** What did not work; empty where all did. */
  problems: string[];
  /** What could not be removed, and costs on. */
  left: string[];
  /** How long there was a stack, in ms. */
  stackMs: number;
}

/** A schedule each minute, a function that starts, a copy of some kilobytes: a minute or two. EventBridge is as quick. */
const LONGEST_WAIT_MS = 10 * 60_000;
const LOOK_EVERY_MS = 5_000;

export function smokeNames(suffix: string) {
  return {
    stack: `TranshipSmoke-${suffix}`,
    source: `tranship-smoke-${suffix}/source`,
    destination: `tranship-smoke-${suffix}/destination`,
  };
}

/**
 * Deploys a stack between two repositories of ECR, sees that a tag arrives by schedule and another one by its push
 * event, looks whether the ledger says the same as the registry, and removes everything, whatever happened.
 */
export async function runSmoke(options: SmokeOptions): Promise<SmokeReport> {
  const { account, suffix, signal, tell, now } = options;
  const names = smokeNames(suffix);
  const problems: string[] = [];
  let deployedAt: number | undefined;
  const repositories: string[] = [];
  const make = (name: string) =>
    step(options, `make the repository ${name}`, () => {
      // Before it is there: an answer may be lost.
      repositories.push(name);
      return account.makeRepository(name);
    });
  try {
    const source = await make(names.source);
    const destination = await make(names.destination);
    const scheduled = await step(options, 'push an image as scheduled', () => account.push(source, 'scheduled'));
    deployedAt = now();
    const { ledger } = await step(options, `deploy the stack ${names.stack}`, () =>
      account.deploy(names.stack, source, destination, signal),
    );
    const isThere = (tag: string, digest: Digest) => async () =>
      (await account.digestAt(destination, tag)) === digest ? undefined : `${tag} has not arrived`;
    await step(options, 'wait until it arrives by schedule', () => until(options, isThere('scheduled', scheduled)));
    const pushed = await step(options, 'push an image as pushed', () => account.push(source, 'pushed'));
    await step(options, 'wait until it arrives by its push event', () =>
      until(options, async () => {
        const runs = await ledger.listRuns(100);
        const isTold = runs.some(({ trigger, state }) => trigger === 'push-ecr' && state === 'done');
        return (await isThere('pushed', pushed)()) ?? (isTold ? undefined : 'no push event has ended as a run');
      }),
    );
    const digests = { scheduled, pushed };
    problems.push(...(await step(options, 'compare the ledger', () => compareLedger(ledger, destination, digests))));
  } catch (error) {
    problems.push(messageOf(error));
  }
  tell(problems.length === 0 ? 'all is well; removing everything' : `${problems.join('; ')}; removing everything`);
  const left = await removeAll(
    account,
    { stack: deployedAt === undefined ? undefined : names.stack, repositories },
    tell,
  );
  return { problems, left, stackMs: deployedAt === undefined ? 0 : now() - deployedAt };
}

/** @returns what the ledger says otherwise than the registry, and runs in which something failed */
async function compareLedger(
  ledger: Ledger,
  destination: Repository,
  digests: Record<string, Digest>,
): Promise<string[]> {
  const problems: string[] = [];
  for (const [tag, digest] of Object.entries(digests)) {
    const record = await ledger.read({ ...destination, tag });
    if (record?.destinationDigest !== digest) {
      problems.push(`the ledger has ${record?.destinationDigest ?? 'nothing'} for ${tag}, the registry ${digest}`);
    }
  }
  for (const { id, counts, ruleFailures } of await ledger.listRuns(100)) {
    const failed = counts.failed + ruleFailures.length;
    if (failed > 0) problems.push(`in the run ${id} failed ${failed}`);
  }
  return problems;
}

async function step<T>({ signal, tell }: SmokeOptions, what: string, work: () => Promise<T>): Promise<T> {
  if (signal.aborted) throw new Error('stopped');
  tell(what);
  try {
    return await work();
  } catch (error) {
    throw new Error(signal.aborted ? 'stopped' : `could not ${what}: ${messageOf(error)}`, { cause: error });
  }
}

/** @param look tells what is missing, or undefined where nothing is */
async function until({ signal, now, sleep }: SmokeOptions, look: () => Promise<string | undefined>): Promise<void> {
  const deadline = now() + LONGEST_WAIT_MS;
  for (;;) {
    const missing = await look();
    if (missing === undefined) return;
    if (signal.aborted) throw new Error('stopped');
    if (now() > deadline) throw new Error(`${missing} after ${LONGEST_WAIT_MS / 60_000} minutes`);
    await sleep(LOOK_EVERY_MS);
  }
}

/** @returns what is left */
async function removeAll(
  account: Account,
  { stack, repositories }: { stack: string | undefined; repositories: string[] },
  tell: (line: string) => void,
): Promise<string[]> {
  const left: string[] = [];
  const remove = async (what: string, work: () => Promise<void>) => {
    tell(`remove ${what}`);
    await work().catch((error: unknown) => left.push(`${what}: ${messageOf(error)}`));
  };
  // First the stack, which may still be copying.
  if (stack !== undefined) await remove(`the stack ${stack}`, () => account.removeStack(stack));
  for (const name of repositories) {
    await remove(`the repository ${name}`, () => account.removeRepository(name));
  }
  return left;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
