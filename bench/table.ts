import { cpus, totalmem } from 'node:os';
import type { Requests, Result, Sample } from './scenarios.ts';

const titles = {
  big: 'Cold copy of big images',
  'big-tls': 'Cold copy of big images over TLS',
  small: 'Cold copy of many small images',
  'multi-arch': 'Cold copy of images for four platforms',
  'second-run': 'Second run over unchanged tags',
  'second-run-delayed': 'Second run over unchanged tags, with a delay',
  'many-repositories': 'Second run over many repositories',
  start: 'Start of the program',
};

/**
 * All scenarios in one table: what tranship takes, the best other, and the ratio. `node` is no other: it is the floor of a start.
 */
export function renderSummary(results: Result[]): string {
  const header = ['scenario', 'what', 'tranship', 'best other', '', 'ratio'];
  const figures = [
    ['wall s', (sample: Sample) => sample.wallS],
    ['CPU s', (sample: Sample) => sample.cpuS],
    ['peak RSS MiB', (sample: Sample) => sample.peakRssMib],
  ] as const;
  const rows = results.flatMap(({ scenario, samples }) =>
    figures.map(([what, figure]) => {
      const byClient = Map.groupBy(samples, ({ client }) => client);
      const medians = [...byClient].map(([client, own]) => ({
        client,
        value: median(own.map(figure).sort((a, b) => a - b)),
      }));
      const ours = medians.find(({ client }) => client === 'tranship')?.value ?? Number.NaN;
      const others = medians.filter(({ client }) => !['tranship', 'baseline', 'node'].includes(client));
      const best = others.sort((a, b) => a.value - b.value)[0];
      const shown = (value: number) => value.toFixed(value < 100 ? 2 : 0);
      const compared =
        best === undefined ? ['', '', ''] : [shown(best.value), best.client, (ours / best.value).toFixed(2)];
      return [titles[scenario], what, shown(ours), ...compared];
    }),
  );
  const lines = [header, header.map((_, index) => ([0, 1, 4].includes(index) ? '---' : '---:')), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** One scenario as a table in Markdown: medians of all rounds. */
export function renderResult(result: Result): string {
  const { scenario, content, samples, requests } = result;
  const gib = content.bytes / 2 ** 30;
  const perGib = scenario === 'big';
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
  return `${titles[scenario]}: ${content.tags} tags, ${size}\n\n${table}\n`;
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
