/** Label values by name. */
export type Labels = Record<string, string>;

interface Family {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  samples(): Array<[suffix: string, labels: Labels, value: number]>;
}

export interface Metrics {
  counter(name: string, help: string): (labels: Labels, by?: number) => void;
  /** @param read the values at the time of asking */
  gauge(name: string, help: string, read: () => Array<[labels: Labels, value: number]>): void;
  /** @param bounds upper ones, rising; that of infinity is added */
  histogram(name: string, help: string, bounds: readonly number[]): (labels: Labels, value: number) => void;
  /** @see https://prometheus.io/docs/instrumenting/exposition_formats/ "Text-based format" */
  render(): string;
}

export const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

/** Counts in memory. Label values must come from a bounded set: each combination is kept for good. */
export function createMetrics(): Metrics {
  const families: Family[] = [];
  return {
    counter(name, help) {
      const values = new Map<string, [Labels, number]>();
      families.push({ name, help, type: 'counter', samples: () => [...values.values()].map(([l, v]) => ['', l, v]) });
      return (labels, by = 1) => {
        const key = JSON.stringify(labels);
        values.set(key, [labels, (values.get(key)?.[1] ?? 0) + by]);
      };
    },
    gauge(name, help, read) {
      families.push({ name, help, type: 'gauge', samples: () => read().map(([labels, value]) => ['', labels, value]) });
    },
    histogram(name, help, bounds) {
      const series = new Map<string, { labels: Labels; counts: number[]; sum: number; count: number }>();
      families.push({
        name,
        help,
        type: 'histogram',
        samples: () =>
          [...series.values()].flatMap(({ labels, counts, sum, count }) => [
            ...bounds.map((bound, at): [string, Labels, number] => [
              '_bucket',
              { ...labels, le: String(bound) },
              counts[at] ?? 0,
            ]),
            ['_bucket', { ...labels, le: '+Inf' }, count] as [string, Labels, number],
            ['_sum', labels, sum] as [string, Labels, number],
            ['_count', labels, count] as [string, Labels, number],
          ]),
      });
      return (labels, value) => {
        const key = JSON.stringify(labels);
        const one = series.get(key) ?? { labels, counts: bounds.map(() => 0), sum: 0, count: 0 };
        series.set(key, one);
        bounds.forEach((bound, at) => {
          if (value <= bound) one.counts[at]! += 1;
        });
        one.sum += value;
        one.count += 1;
      };
    },
    render() {
      return families
        .map(({ name, help, type, samples }) =>
          [
            `# HELP ${name} ${help}`,
            `# TYPE ${name} ${type}`,
            ...samples().map(([suffix, labels, value]) => `${name}${suffix}${renderLabels(labels)} ${value}`),
          ].join('\n'),
        )
        .join('\n')
        .concat('\n');
    },
  };
}

function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeValue(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
