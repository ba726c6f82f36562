import { cpus, totalmem } from 'node:os';
import type { Requests, Result, Sample } from './scenarios.ts';

const titles = {
  big: 'Cold copy of big images',
  small: 'Cold copy of many small images',
  'second-run': 'Second run over unchanged tags',
};

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
