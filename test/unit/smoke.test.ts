import { describe, expect, it } from 'vitest';
import type { Repository } from '../../core/model/reference.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import type { SyncRecord } from '../../core/pipeline/ports/sync-records.ts';
import { openAccount } from '../../smoke/account.ts';
import { type Account, runSmoke, type SmokeReport } from '../../smoke/run-smoke.ts';

const names = ['tranship-smoke-x/source', 'tranship-smoke-x/destination'];
const removed = ['removeStack TranshipSmoke-x', ...names.map((name) => `removeRepository ${name}`)];

/** An account in which what is pushed to the source arrives after some looks. */
function fakeAccount(changes: Partial<Account> = {}, { looks = 2, failed = 0, recorded = true } = {}) {
  const calls: string[] = [];
  const pushed = new Map<string, string>();
  const looked = new Map<string, number>();
  const runs: RunRecord[] = [];
  const run = (trigger: string) =>
    ({ id: trigger, trigger, state: 'done', counts: { failed }, ruleFailures: [] }) as unknown as RunRecord;
  const ledger = {
    listRuns: async () => runs,
    read: async ({ tag }: { tag: string }) =>
      (recorded ? { destinationDigest: pushed.get(tag) } : undefined) as SyncRecord | undefined,
  } as unknown as Ledger;
  const account: Account = {
    makeRepository: async (name) => ({ registry: '1.dkr.ecr.eu-west-1.amazonaws.com', repository: name }),
    async push(_repository, tag) {
      const digest = `sha256:${tag.padEnd(64, '0')}`;
      pushed.set(tag, digest);
      return digest;
    },
    async digestAt(_repository, tag) {
      const count = (looked.get(tag) ?? 0) + 1;
      looked.set(tag, count);
      if (count < looks) return undefined;
      if (tag === 'pushed') runs.push(run('push-ecr'));
      return pushed.get(tag);
    },
    deploy: async () => ({ ledger }),
    removeStack: async () => {},
    removeRepository: async () => {},
    ...changes,
  };
  const told = Object.entries(account).map(([name, work]) => [
    name,
    (...args: unknown[]) => {
      const what = args.map((arg) => (typeof arg === 'string' ? arg : (arg as Repository).repository));
      if (name !== 'digestAt') calls.push([name, ...what.slice(0, name === 'deploy' ? 1 : 2)].join(' '));
      return (work as (...all: unknown[]) => unknown)(...args);
    },
  ]);
  return { account: Object.fromEntries(told) as Account, calls };
}

async function smoke(
  fake: ReturnType<typeof fakeAccount>,
  stop = new AbortController(),
): Promise<SmokeReport & { lines: string[] }> {
  let now = 0;
  const lines: string[] = [];
  const report = await runSmoke({
    account: fake.account,
    suffix: 'x',
    signal: stop.signal,
    tell: (line) => lines.push(line),
    now: () => now,
    sleep: async (ms) => {
      now += ms;
    },
  });
  return { ...report, lines };
}

const fails = (message: string) => () => Promise.reject(new Error(message));

describe('the test in an account', () => {
  it('pushes, deploys, waits for schedule and push event, compares, and removes what it made', async () => {
    const fake = fakeAccount();
    expect(await smoke(fake)).toMatchObject({ problems: [], left: [], stackMs: 15_000 });
    expect(fake.calls).toEqual([
      ...names.map((name) => `makeRepository ${name}`),
      'push tranship-smoke-x/source scheduled',
      'deploy TranshipSmoke-x',
      'push tranship-smoke-x/source pushed',
      ...removed,
    ]);
  });

  it.each([
    ['the deployment fails', fakeAccount({ deploy: fails('cdk ended with 1') }), /deploy the stack .*cdk ended with 1/],
    ['nothing arrives', fakeAccount({ digestAt: async () => undefined }), /scheduled has not arrived after 10 minutes/],
    ['another image arrives', fakeAccount({ digestAt: async () => 'sha256:other' }), /scheduled has not arrived/],
    ['the ledger has nothing', fakeAccount({}, { recorded: false }), /the ledger has nothing for scheduled/],
    ['a run failed', fakeAccount({}, { failed: 1 }), /in the run push-ecr failed 1/],
  ])('tells of it and removes everything where %s', async (_what, fake, message) => {
    const { problems, left } = await smoke(fake);
    expect(problems.join('; ')).toMatch(message);
    expect(left).toEqual([]);
    expect(fake.calls.slice(-3)).toEqual(removed);
  });

  it('removes no stack where none was begun', async () => {
    const fake = fakeAccount({ makeRepository: fails('denied') });
    expect((await smoke(fake)).problems.join()).toMatch(/make the repository .*: denied/);
    expect(fake.calls.slice(1)).toEqual([`removeRepository ${names[0]}`]);
  });

  it('is stopped in the middle, and removes everything', async () => {
    const stop = new AbortController();
    const deploy: Account['deploy'] = async (_name, _from, _to, signal) => {
      stop.abort();
      signal.throwIfAborted();
      throw new Error('not stopped');
    };
    const fake = fakeAccount({ deploy });
    expect((await smoke(fake, stop)).problems).toEqual(['stopped']);
    expect(fake.calls.slice(-3)).toEqual(removed);
  });

  it('lists what it could not remove, and goes on with the rest', async () => {
    const fake = fakeAccount({ removeStack: fails('still being deleted') });
    expect((await smoke(fake)).left).toEqual(['the stack TranshipSmoke-x: still being deleted']);
    expect(fake.calls.slice(-3)).toEqual(removed);
  });
});

describe('an account', () => {
  /** A client that answers by the names of commands. */
  const client = (answers: Record<string, unknown>) =>
    ({
      send: async (command: object) => {
        const answer = answers[command.constructor.name];
        if (answer instanceof Error) throw answer;
        return answer;
      },
    }) as never;
  const named = (name: string) => Object.assign(new Error(name), { name });
  const open = (ecr: object, cloudFormation: object = {}, cdk = async () => {}) =>
    openAccount({
      ecr: client(ecr as never),
      cloudFormation: client(cloudFormation as never),
      dynamo: client({}),
      cdk,
    });
  const repository = { registry: '1.dkr.ecr.eu-west-1.amazonaws.com', repository: 'a/b' };

  it('knows a tag that is not there from an error', async () => {
    const missing = open({ DescribeImagesCommand: named('ImageNotFoundException') });
    expect(await missing.digestAt(repository, '1')).toBeUndefined();
    const denied = open({ DescribeImagesCommand: named('AccessDeniedException') });
    await expect(denied.digestAt(repository, '1')).rejects.toThrow('AccessDenied');
    const found = open({ DescribeImagesCommand: { imageDetails: [{ imageDigest: 'sha256:1' }] } });
    expect(await found.digestAt(repository, '1')).toBe('sha256:1');
  });

  it('makes and removes repositories, those too that are gone', async () => {
    const uri = `${repository.registry}/a/b`;
    const made = open({ CreateRepositoryCommand: { repository: { repositoryUri: uri } } });
    expect(await made.makeRepository('a/b')).toEqual(repository);
    await open({ DeleteRepositoryCommand: named('RepositoryNotFoundException') }).removeRepository('a/b');
    await expect(open({ DeleteRepositoryCommand: named('Other') }).removeRepository('a/b')).rejects.toThrow('Other');
  });

  it('has no ledger where the stack tells no table', async () => {
    const account = open({}, { DescribeStacksCommand: { Stacks: [{ Outputs: [] }] } });
    const { signal } = new AbortController();
    await expect(account.deploy('S', repository, repository, signal)).rejects.toThrow('does not tell its table');
  });
});
