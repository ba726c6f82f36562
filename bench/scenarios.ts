import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Dispatcher, request } from 'undici';
import { type DistributionOptions, startDistribution, testAuthority } from '../test/support/distribution.ts';
import type { WireRequest } from '../test/support/faults.ts';
import { startFaultyRegistry } from '../test/support/faulty-registry.ts';
import type { PushTarget } from '../testing/push.ts';
import { startCheapRegistry } from './cheap-registry.ts';
import { type Client, onPath } from './clients.ts';
import { type Content, pushBig, pushIndexes, pushManyTags, pushSmall } from './content.ts';
import { startDelay } from './delay.ts';
import { measure, type Usage } from './measure.ts';
import type { BenchOptions, ScenarioName } from './options.ts';

export interface Sample extends Usage {
  client: string;
  /** Load of the machine over the last minute, before the run. */
  load: number;
}

/** Requests of one run, by method. */
export interface Requests {
  client: string;
  source: Record<string, number>;
  destination: Record<string, number>;
}

export interface Result {
  scenario: ScenarioName;
  content: Content;
  samples: Sample[];
  /** Of the second run only. */
  requests: Requests[];
}

export type Say = (line: string) => void;

const repository = 'bench/app';
const bigRepositories = Array.from({ length: 8 }, (_, index) => `bench/big${index}`);

/** Runs a scenario on real registries on loopback: every client in turn, as often as there are rounds. */
export async function runScenario(
  scenario: ScenarioName,
  clients: Client[],
  options: BenchOptions,
  say: Say,
): Promise<Result> {
  if (scenario === 'start') return measureStart(clients, options, say);
  if (scenario === 'first-request') return measureFirstRequest(clients, options, say);
  if (scenario === 'many-repositories') return measureManyRepositories(clients, options, say);
  const tls = scenario === 'big-tls';
  const registry = { tls, program: onPath('registry') };
  const source = await startDistribution(registry);
  try {
    say(`${scenario}: filling the source`);
    const target = { url: source.url, repository, ...(tls && { ca: testAuthority }) };
    const content = await fill(scenario, target, options);
    const repositories = scenario === 'big' || tls ? bigRepositories : [repository];
    const job = { source: source.host, repositories, tls, proc: options.proc };
    const setting: Setting = { scenario, content, job, registry, clients, rounds: options.rounds, say };
    if (scenario === 'second-run') return await measureSecondRun(setting, 0);
    if (scenario === 'second-run-delayed') return await measureSecondRun(setting, options.delayMs);
    return await measureColdCopies(setting);
  } finally {
    await source.close();
  }
}

function fill(scenario: ScenarioName, target: PushTarget, options: BenchOptions): Promise<Content> {
  if (scenario === 'big' || scenario === 'big-tls')
    return pushBig(target, { mib: options.bigMib, repositories: bigRepositories });
  if (scenario === 'small') return pushSmall(target, { tags: options.smallTags });
  if (scenario === 'multi-arch') return pushIndexes(target, { tags: options.indexes });
  return pushManyTags(target, { tags: options.unchangedTags });
}

interface Setting {
  scenario: ScenarioName;
  content: Content;
  job: { source: string; repositories: string[]; tls: boolean; proc: number };
  /** What the registries are: version 3 of CNCF distribution where it is there. */
  registry: DistributionOptions;
  clients: Client[];
  rounds: number;
  say: Say;
}

/** Every run into a registry that is new and empty. */
async function measureColdCopies(setting: Setting): Promise<Result> {
  const { scenario, content, job, registry } = setting;
  const samples = await inTurns(setting, async (client) => {
    const destination = await startDistribution(registry);
    try {
      return await withFolder(async (folder) => {
        const usage = await measure(await client.command({ ...job, destination: destination.host, folder }), folder);
        if (!job.tls) await checkTags(destination.url, job.repositories, content.tags, client);
        return usage;
      });
    } finally {
      await destination.close();
    }
  });
  return { scenario, content, samples, requests: [] };
}

/** Runs into one registry that has everything. Requests are counted in runs of their own, since counting takes time. */
async function measureSecondRun(setting: Setting, delayMs: number): Promise<Result> {
  const { scenario, content, job, registry, clients, say } = setting;
  const destination = await startDistribution(registry);
  const ways = await Promise.all([job.source, destination.host].map((host) => startDelay(host, delayMs)));
  const [from, to] = delayMs === 0 ? [job.source, destination.host] : ways.map(({ host }) => host);
  try {
    return await withFolder(async (folder) => {
      const bare = { ...job, source: from ?? '', destination: to ?? '', folder };
      for (const client of clients.filter((one) => one.hasState)) await measure(await client.command(bare), folder);
      await checkTags(destination.url, job.repositories, content.tags, clients[0]);
      const samples = await inTurns(setting, async (client) => measure(await client.command(bare), folder));
      const requests: Requests[] = [];
      for (const client of delayMs === 0 ? clients : []) {
        say(`${scenario}: counting the requests of ${client.name}`);
        requests.push(await countRequests(client, { ...bare, destinationUrl: destination.url }));
      }
      return { scenario, content, samples, requests };
    });
  } finally {
    for (const way of ways) way.close();
    await destination.close();
  }
}

/** Unchanged tags in many repositories of registries that cost nothing, for the clients that take many. */
async function measureManyRepositories(clients: Client[], options: BenchOptions, say: Say): Promise<Result> {
  const tags = 100;
  const [source, destination] = await Promise.all([startCheapRegistry({ tags }), startCheapRegistry({ tags })]);
  const repositories = Array.from({ length: options.repositories }, (_, index) => `bench/app${index}`);
  const job = { source: source.host, repositories, tls: false, proc: options.proc };
  const setting: Setting = {
    scenario: 'many-repositories',
    content: { tags: tags * repositories.length, bytes: 0 },
    job,
    registry: {},
    clients: clients.filter(({ takesMany }) => takesMany),
    rounds: options.rounds,
    say,
  };
  try {
    return await withFolder(async (folder) => {
      const bare = { ...job, destination: destination.host, folder };
      for (const client of setting.clients.filter((one) => one.hasState))
        await measure(await client.command(bare), folder);
      const samples = await inTurns(setting, async (client) => measure(await client.command(bare), folder));
      return { scenario: setting.scenario, content: setting.content, samples, requests: [] };
    });
  } finally {
    await Promise.all([source.close(), destination.close()]);
  }
}

/** What each client takes to say its version, and, as the floor of ours, Node to do nothing. */
async function measureStart(clients: Client[], options: BenchOptions, say: Say): Promise<Result> {
  const content = { tags: 1, bytes: 0 };
  const floor = { name: 'node', version: [process.execPath, '-e', '0'] };
  const samples: Sample[] = [];
  await withFolder(async (folder) => {
    // Short, so many.
    for (let round = 0; round < options.rounds * 5; round += 1) {
      for (const {
        name,
        version: [program = '', ...args],
      } of [...clients, floor]) {
        const usage = await measure({ program, args, env: process.env }, folder);
        samples.push({ client: name, load: loadavg()[0] ?? 0, ...usage });
      }
    }
  });
  say(`start: ${samples.length} starts`);
  return { scenario: 'start', content, samples, requests: [] };
}

/** How long it is from the start of a run to its first request; CPU and memory are those of the whole run. */
async function measureFirstRequest(clients: Client[], options: BenchOptions, say: Say): Promise<Result> {
  const [source, destination] = await Promise.all([startCheapRegistry({ tags: 1 }), startCheapRegistry({ tags: 1 })]);
  let first: number | undefined;
  const note = () => {
    first ??= performance.now();
  };
  const ways = await Promise.all([source, destination].map(({ host }) => startDelay(host, 0, note)));
  const [from = '', to = ''] = ways.map(({ host }) => host);
  const job = { source: from, destination: to, repositories: [repository], tls: false, proc: options.proc };
  const samples: Sample[] = [];
  try {
    for (let round = 0; round < options.rounds * 5; round += 1) {
      // The others read what the cheap registry has not.
      for (const client of clients.filter(({ hasState }) => hasState)) {
        await withFolder(async (folder) => {
          const command = await client.command({ ...job, folder });
          first = undefined;
          const start = performance.now();
          const usage = await measure(command, folder);
          const wallS = ((first ?? Number.NaN) - start) / 1000;
          samples.push({ client: client.name, load: loadavg()[0] ?? 0, ...usage, wallS });
        });
      }
    }
  } finally {
    for (const way of ways) way.close();
    await Promise.all([source.close(), destination.close()]);
  }
  say(`first-request: ${samples.length} runs`);
  return { scenario: 'first-request', content: { tags: 1, bytes: 0 }, samples, requests: [] };
}

async function countRequests(
  client: Client,
  job: Parameters<Client['command']>[0] & { destinationUrl: string },
): Promise<Requests> {
  const source = await startFaultyRegistry({ upstream: `http://${job.source}` });
  const destination = await startFaultyRegistry({ upstream: job.destinationUrl });
  try {
    return await withFolder(async (folder) => {
      const command = await client.command({ ...job, source: source.host, destination: destination.host, folder });
      if (client.hasState) await measure(command, folder);
      source.requests.length = 0;
      destination.requests.length = 0;
      await measure(command, folder);
      return { client: client.name, source: byMethod(source.requests), destination: byMethod(destination.requests) };
    });
  } finally {
    await Promise.all([source.close(), destination.close()]);
  }
}

function byMethod(requests: WireRequest[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { method } of requests) counts[method] = (counts[method] ?? 0) + 1;
  return counts;
}

async function inTurns(
  { scenario, clients, rounds, say }: Setting,
  run: (client: Client) => Promise<Usage>,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const client of clients) {
      const load = loadavg()[0] ?? 0;
      const usage = await run(client);
      samples.push({ client: client.name, load, ...usage });
      const { wallS, cpuS, peakRssMib } = usage;
      const figures = `${wallS.toFixed(2)} s, CPU ${cpuS.toFixed(2)} s, ${peakRssMib.toFixed(0)} MiB`;
      say(`${scenario}: round ${round} of ${rounds}, ${client.name}: ${figures} (load ${load.toFixed(1)})`);
    }
  }
  return samples;
}

/** A client that did half of the work must not look fast. */
async function checkTags(
  url: string,
  repositories: string[],
  wanted: number,
  client: Client | undefined,
): Promise<void> {
  let count = 0;
  for (const name of repositories) {
    for (let path: string | undefined = `/v2/${name}/tags/list?n=1000`; path !== undefined; ) {
      const answer: Dispatcher.ResponseData = await request(new URL(path, url));
      count += ((await answer.body.json()) as { tags?: string[] }).tags?.length ?? 0;
      path = /<([^>]+)>/.exec(String(answer.headers.link ?? ''))?.[1];
    }
  }
  if (count !== wanted) throw new Error(`${client?.name} copied ${count} of ${wanted} tags`);
}

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'tranship-bench-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
