import { parseArgs } from 'node:util';

export const scenarioNames = [
  'big',
  'big-tls',
  'small',
  'multi-arch',
  'second-run',
  'second-run-delayed',
  'many-repositories',
  'start',
  'first-request',
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export interface BenchOptions {
  scenarios: ScenarioName[];
  /** Names of clients; undefined for all that are there. */
  clients: string[] | undefined;
  rounds: number;
  /** Blobs in flight, or whatever a client's own bound counts. */
  proc: number;
  /** Of the layers of all big images together, those that images share counted each time. */
  bigMib: number;
  smallTags: number;
  indexes: number;
  unchangedTags: number;
  /** Of the run over many repositories, each with a hundred tags. */
  repositories: number;
  /** What each request takes longer in the delayed run. */
  delayMs: number;
  /** Another build of the command, to be measured beside this one. */
  baseline: string | undefined;
  /** Where to write all samples. */
  json: string | undefined;
}

export const usage = `npm run bench -- [options]
  --scenario NAME   ${scenarioNames.join(', ')}; repeated for several (default: all)
  --client NAME     tranship, skopeo, crane, regsync, image-syncer; repeated (default: all that are on PATH)
  --rounds N        runs of every client, taken in turns (3)
  --proc N          blobs in flight (16)
  --big-mib N       size of the eight big images together, MiB; 7 of 32 parts are in all of them (2048)
  --small-tags N    tags of the many small images (2000)
  --indexes N       tags of images for four platforms, of eight layers each (30)
  --unchanged N     tags of the second run (2000)
  --repositories N  repositories of a hundred unchanged tags each (1000)
  --delay-ms N      what each request takes longer in the delayed run (20)
  --baseline FILE   another build's tranship.mjs, measured beside this one
  --json FILE       also write all samples there
`;

/** @throws where the command line is not understood */
export function parseOptions(argv: string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: argv,
    options: {
      help: { type: 'boolean', short: 'h' },
      scenario: { type: 'string', multiple: true },
      client: { type: 'string', multiple: true },
      rounds: { type: 'string', default: '3' },
      proc: { type: 'string', default: '16' },
      'big-mib': { type: 'string', default: '2048' },
      'small-tags': { type: 'string', default: '2000' },
      indexes: { type: 'string', default: '30' },
      repositories: { type: 'string', default: '1000' },
      'delay-ms': { type: 'string', default: '20' },
      unchanged: { type: 'string', default: '2000' },
      baseline: { type: 'string' },
      json: { type: 'string' },
    },
  });
  if (values.help) return 'help';
  const scenarios = values.scenario ?? [...scenarioNames];
  const unknown = scenarios.find((name) => !scenarioNames.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`--scenario ${unknown}: not one of ${scenarioNames.join(', ')}`);
  return {
    scenarios: scenarios as ScenarioName[],
    clients: values.client,
    rounds: count('rounds', values.rounds),
    proc: count('proc', values.proc),
    bigMib: count('big-mib', values['big-mib']),
    smallTags: count('small-tags', values['small-tags']),
    unchangedTags: count('unchanged', values.unchanged),
    indexes: count('indexes', values.indexes),
    repositories: count('repositories', values.repositories),
    delayMs: count('delay-ms', values['delay-ms']),
    baseline: values.baseline,
    json: values.json,
  };
}

function count(name: string, text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new Error(`--${name} ${text}: not a whole number above 0`);
}
