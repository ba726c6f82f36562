import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { colour } from '../theme.ts';

export interface Series {
  label: string;
  /** A colour of the style sheet. */
  colour: string;
  values: number[];
}

const HEIGHT = 180;
/** Where the highest bar is so many times as high as the middle one, the others could not be seen. */
const SKEWED = 30;

/**
 * Bars over time, stacked in the order of the series.
 * @param summary what the plot shows, in words
 * @param labels of the bars, the newest last
 */
export function Plot({
  id,
  title,
  summary,
  labels,
  series,
  format,
  steps,
  powers,
}: {
  id: string;
  title: string;
  summary: string;
  labels: string[];
  series: Series[];
  format: (value: number) => string;
  /** What may lie between two lines of the scale; without it, round decimal numbers. */
  steps?: number[];
  /** Lines of a logarithmic scale, ascending from 0. */
  powers: number[];
}) {
  const place = useRef<HTMLDivElement>(null);
  const data = JSON.stringify([labels, series]);
  const logarithmic = isSkewed(series) ? powers : undefined;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    let plot: uPlot | undefined;
    const draw = () => {
      plot?.destroy();
      plot = new uPlot(
        optionsFor(element.clientWidth, labels, series, { format, steps, logarithmic }),
        stack(series),
        element,
      );
    };
    draw();
    const resizes = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT }));
    resizes.observe(element);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    const themes = new MutationObserver(draw);
    themes.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      resizes.disconnect();
      themes.disconnect();
      dark.removeEventListener('change', draw);
      plot?.destroy();
    };
  }, [data]);
  return (
    <section class="card" aria-labelledby={id}>
      <div class="plot-head">
        <h2 id={id}>{title}</h2>
        <ul class="legend">
          {series.map((one) => (
            <li key={one.label}>
              <span class={`swatch ${one.colour}`} />
              {one.label}
            </li>
          ))}
          {logarithmic !== undefined && <li>logarithmic</li>}
        </ul>
      </div>
      <div class="plot" ref={place} role="img" aria-label={summary} />
    </section>
  );
}

/** Each series on top of those before it; drawn from the last to the first, so that all are seen. */
function stack(series: Series[]): uPlot.AlignedData {
  const places = (series[0]?.values ?? []).map((_, at) => at);
  const sums = places.map(() => 0);
  const stacked = series.map(({ values }) =>
    values.map((value, at) => {
      sums[at] = (sums[at] ?? 0) + value;
      return sums[at];
    }),
  );
  return [places, ...stacked.reverse()] as uPlot.AlignedData;
}

function optionsFor(
  width: number,
  labels: string[],
  series: Series[],
  scale: { format: (value: number) => string; steps?: number[]; logarithmic?: number[] },
): uPlot.Options {
  const { format, steps, logarithmic } = scale;
  const axis = { stroke: colour('dim'), ticks: { show: false }, font: '11px system-ui, sans-serif' };
  const bars = uPlot.paths.bars?.({ size: [0.7, 28], radius: 0.15 });
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 18, 0, 0],
    scales: {
      x: { time: false, range: [-0.6, labels.length - 0.4] },
      // Of nothing, there is an empty scale from 0 to 1.
      y: {
        range: (_plot, _min, max) => [0, max > 0 ? max * (logarithmic === undefined ? 1.05 : 1.5) : 1],
        ...(logarithmic !== undefined && logarithmicFrom(logarithmic[1] ?? 1)),
      },
    },
    axes: [
      {
        ...axis,
        size: 28,
        grid: { show: false },
        splits: () => labels.map((_, at) => at).filter((at) => (labels.length - 1 - at) % stepFor(width, labels) === 0),
        values: (_plot, places) => places.map((at) => labels[at] ?? ''),
      },
      {
        ...axis,
        size: 62,
        grid: { stroke: colour('line'), width: 1 },
        ...(steps && { incrs: steps }),
        ...(logarithmic && {
          splits: (plot) => logarithmic.filter((value) => value <= (plot.scales.y?.max ?? 0)),
          // Without it, some labels of a scale that is not linear are left out.
          filter: (_plot, values) => values,
        }),
        // The first line of a logarithmic scale is too near to 0 for a label.
        values: (_plot, values) => values.map((value) => (value === logarithmic?.[1] ? '' : format(value))),
      },
    ],
    series: [
      {},
      ...series.toReversed().map((one) => ({
        label: one.label,
        fill: colour(one.colour),
        stroke: colour(one.colour),
        width: 0,
        points: { show: false },
        paths: bars,
      })),
    ],
  };
}

/** How many bars lie between two labels, so that they do not run into each other. */
function stepFor(width: number, labels: string[]): number {
  return Math.max(1, Math.ceil(labels.length / Math.max(1, (width - 62) / 56)));
}

/** A logarithmic scale that has a 0: up to about this value it is linear. */
function logarithmicFrom(value: number): uPlot.Scale {
  return {
    distr: 100,
    fwd: (height) => Math.log10(1 + height / value),
    bwd: (height) => value * (10 ** height - 1),
  };
}

function isSkewed(series: Series[]): boolean {
  const sums = (series[0]?.values ?? []).map((_, at) => series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0));
  const heights = sums.filter((sum) => sum > 0).sort((a, b) => a - b);
  const [middle = 0, highest = 0] = [heights[Math.floor((heights.length - 1) / 2)], heights.at(-1)];
  return highest > SKEWED * middle;
}
