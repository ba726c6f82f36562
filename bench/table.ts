import { cpus, totalmem } from 'node:os';
import type { Floors } from './floors.ts';
import type { ScenarioName } from './options.ts';
import type { Requests, Result, Sample } from './scenarios.ts';

const titles: Record<ScenarioName, string> = {
  big: '8 images, 2 GiB in big layers, cold',
  'big-tls': 'the same over TLS',
  small: 'small tags, cold',
  'multi-arch': 'images for four platforms, cold',
  'second-run': 'unchanged tags',
  'second-run-delayed': 'unchanged tags, each request delayed',
  'many-repositories': 'unchanged tags in many repositories',
  start: '`--version`',
  'first-request': 'until the first request',
};

type Figure = 'wall s' | 'CPU s' | 'peak RSS MB';

const figures: Record<Figure, (sample: Sample) => number> = {
  'wall s': ({ wallS }) => wallS,
  'CPU s': ({ cpuS }) => cpuS,
  'peak RSS MB': ({ peakRssMib }) => (peakRssMib * 2 ** 20) / 1e6,
};

/** What we want to reach: so many times what another client takes, or a figure of its own. */
type Goal = { times: number; of: 'the best' | 'crane' } | { atMost: number };

const goals: Record<ScenarioName, Partial<Record<Figure, Goal>>> = {
  big: {
    'wall s': { times: 0.8, of: 'the best' },
    'CPU s': { times: 0.9, of: 'the best' },
    'peak RSS MB': { atMost: 120 },
  },
  'big-tls': {
    'wall s': { times: 0.9, of: 'the best' },
    'CPU s': { times: 0.9, of: 'the best' },
    'peak RSS MB': { atMost: 120 },
  },
  small: {
    'wall s': { times: 0.7, of: 'crane' },
    'CPU s': { times: 0.8, of: 'crane' },
    'peak RSS MB': { atMost: 120 },
  },
  'multi-arch': {
    'wall s': { times: 0.8, of: 'the best' },
    'CPU s': { times: 0.9, of: 'the best' },
    'peak RSS MB': { atMost: 120 },
  },
  'second-run': {
    'wall s': { times: 0.5, of: 'crane' },
    'CPU s': { times: 0.8, of: 'crane' },
    'peak RSS MB': { atMost: 120 },
  },
  'second-run-delayed': { 'wall s': { times: 0.3, of: 'crane' }, 'peak RSS MB': { atMost: 120 } },
  'many-repositories': { 'wall s': { atMost: 10 }, 'CPU s': { atMost: 12 }, 'peak RSS MB': { atMost: 150 } },
  start: { 'wall s': { atMost: 0.08 } },
  'first-request': { 'wall s': { atMost: 0.12 } },
};

/** Requests that a client of ours cannot do without. */
const REQUESTS_A_SMALL_TAG = 8;
const REQUESTS_AN_INDEX = 2 + 4 * (2 + 9 * 3);

/** CPU seconds that Node takes for the requests and the bytes of a scenario, without its own start. */
function floorOf({ scenario, content }: Result, floors: Floors): number | undefined {
  const gib = content.bytes / 2 ** 30;
  switch (scenario) {
    case 'big':
      return gib * floors.gib;
    case 'big-tls':
      return gib * floors.gibTls;
    case 'small':
      return content.tags * REQUESTS_A_SMALL_TAG * floors.request;
    case 'multi-arch':
      return gib * floors.gib + content.tags * REQUESTS_AN_INDEX * floors.request;
    case 'second-run':
    case 'second-run-delayed':
    case 'many-repositories':
      return content.tags * floors.request;
    default:
      return undefined;
  }
}

const peers = ['crane', 'regsync', 'skopeo', 'image-syncer'];

/** All scenarios in one table: what each client takes, the goal, and whether it is reached. */
export function renderSummary(results: Result[], floors: Floors): string {
  const clients = ['tranship', 'baseline', ...peers].filter((name) =>
    results.some(({ samples }) => samples.some(({ client }) => client === name)),
  );
  const header = ['work', 'what', ...clients, 'of the best', 'goal', 'reached', 'floor'];
  const rows = results.flatMap((result) =>
    Object.entries(figures).map(([what, figure]) => summaryRow(result, what as Figure, figure, clients, floors)),
  );
  const lines = [header, header.map((_, index) => (index < 2 ? '---' : '---:')), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function summaryRow(
  result: Result,
  what: Figure,
  figure: (sample: Sample) => number,
  clients: string[],
  floors: Floors,
): string[] {
  const { scenario, samples, content } = result;
  const medianOf = (client: string): number | undefined => {
    const own = samples.filter((sample) => sample.client === client).map(figure);
    return own.length === 0 ? undefined : median(own.sort((a, b) => a - b));
  };
  const ours = medianOf('tranship');
  const best = Math.min(...peers.map((name) => medianOf(name) ?? Number.POSITIVE_INFINITY));
  const goal = goals[scenario][what];
  const bound = goal === undefined ? undefined : boundOf(goal, best, medianOf('crane'));
  const node = medianOf('node');
  const floor = what === 'CPU s' ? (floorOf(result, floors) ?? node) : node;
  const count = content.tags > 1 ? `${content.tags} ` : '';
  return [
    scenario.startsWith('big') ? titles[scenario] : `${count}${titles[scenario]}`,
    what,
    ...clients.map((name) => shown(medianOf(name))),
    ours === undefined || !Number.isFinite(best) ? '' : (ours / best).toFixed(2),
    goal === undefined ? '' : `${shown(bound)}${'times' in goal ? ` (${goal.times} × ${goal.of})` : ''}`,
    ours === undefined || bound === undefined ? '' : ours <= bound ? 'yes' : 'no',
    shown(floor),
  ];
}

function boundOf(goal: Goal, best: number, crane: number | undefined): number | undefined {
  if ('atMost' in goal) return goal.atMost;
  const other = goal.of === 'crane' ? crane : Number.isFinite(best) ? best : undefined;
  return other === undefined ? undefined : other * goal.times;
}

function shown(value: number | undefined): string {
  if (value === undefined) return '';
  return value < 1 ? value.toFixed(3) : value < 100 ? value.toFixed(2) : value.toFixed(0);
}

/** One scenario as a table in Markdown: medians of all rounds. */
export function renderResult(result: Result): string {
  const { scenario, content, samples, requests } = result;
  const gib = content.bytes / 2 ** 30;
  const perGib = scenario === 'big' || scenario === 'big-tls';
  const header = [
    'client',
    'wall s',
    perGib ? 'CPU s/GiB' : 'CPU s',
    'peak RSS MiB',
    ...(requests.length > 0 ? ['requests a tag: source', 'destination'] : []),
  ];
  const rows = [...new Set(samples.map((sample) => sample.client))].map((client) => {
    const own = samples.filter((sample) => sample.client === client);
    const counted = requests.find((one) => one.client === client);
    return [
      client,
      spread(own, (sample) => sample.wallS),
      spread(own, (sample) => sample.cpuS / (perGib ? gib : 1)),
      String(Math.round(Math.max(...own.map((sample) => sample.peakRssMib)))),
      ...(counted === undefined ? [] : requestColumns(counted, content.tags)),
    ];
  });
  const lines = [header, header.map((_, index) => (index === 0 ? '---' : '---:')), ...rows];
  const table = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const size = perGib ? `${gib.toFixed(2)} GiB` : `${(content.bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${titles[scenario]}; ${content.tags} tags, ${size}\n\n${table}\n`;
}

/** The machine, in one line. */
export function describeMachine(): string {
  const model = cpus()[0]?.model ?? process.arch;
  return `${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
}

/** The median, and lowest and highest where there are several. */
function spread(samples: Sample[], figure: (sample: Sample) => number): string {
  const sorted = samples.map(figure).sort((a, b) => a - b);
  const shown = median(sorted).toFixed(2);
  if (sorted.length < 2) return shown;
  return `${shown} (${sorted[0]?.toFixed(2)}–${sorted.at(-1)?.toFixed(2)})`;
}

function median(sorted: number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
}

function requestColumns(requests: Requests, tags: number): string[] {
  return [requests.source, requests.destination].map((counts) => {
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const methods = Object.entries(counts).map(([method, count]) => `${count} ${method}`);
    return `${(total / tags).toFixed(3)} (${methods.join(', ')})`;
  });
}
