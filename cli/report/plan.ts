import { formatTarget } from '../../core/model/reference.ts';
import type { PlanRow, PlanSummary } from '../../core/pipeline/cost.ts';
import { createPaint, type Style } from '../view/color.ts';
import { formatBytes, formatCount, plural } from '../view/format.ts';
import { clean } from '../view/text.ts';
import { pad } from '../view/width.ts';
import { formatBudget, formatQuota } from './quota.ts';
import { fits, layTable } from './table.ts';
import { failureLines, hang, type Layout, ruleFailureRows, withoutImage } from './tags.ts';

const states: Record<PlanRow['state'], { word: string; style: Style }> = {
  new: { word: 'new', style: 'green' },
  changed: { word: 'changed', style: 'yellow' },
  incomplete: { word: 'lacking', style: 'yellow' },
  'in-step': { word: 'in step', style: 'dim' },
  unknown: { word: 'unknown', style: 'yellow' },
  surplus: { word: 'delete', style: 'red' },
};

/** What a sync would do: a row for each tag to copy, tags in step by rule (by tag with `verbose`), and the cost. */
export function renderPlan(options: {
  plan: PlanSummary;
  verbose: boolean;
  color: boolean;
  columns: number | undefined;
  now: number;
}): string {
  const { plan, verbose, columns, now } = options;
  const layout: Layout = { paint: createPaint(options.color), columns, now };
  const inStep = plan.rows.filter(({ state }) => state === 'in-step');
  const surplus = plan.rows.filter(({ state }) => state === 'surplus');
  const toCopy = plan.rows.filter(({ state }) => state !== 'in-step' && state !== 'surplus');
  const byRule = new Map(plan.inStepByRule.map(({ ruleId, tags }) => [ruleId, tags]));
  if (!verbose) for (const { ruleId } of inStep) byRule.set(ruleId, (byRule.get(ruleId) ?? 0) + 1);

  const lines = [
    ...plan.discovered.map(
      ({ ruleId, repositories }) =>
        `${layout.paint('dim', pad('found', 9))}  ${plural(repositories, 'repository', 'repositories')} of ${clean(ruleId)}`,
    ),
    ...[...byRule]
      .filter(([, tags]) => tags > 0)
      .map(([ruleId, tags]) => `${layout.paint('dim', pad('in step', 9))}  ${plural(tags, 'tag')} of ${clean(ruleId)}`),
    ...planRows([...(verbose ? inStep : []), ...toCopy, ...surplus], layout),
    ...ruleFailureRows(plan.ruleFailures, layout),
  ];
  const totalInStep = inStep.length + plan.inStepByRule.reduce((sum, { tags }) => sum + tags, 0);
  return `${[...lines, ...(lines.length > 0 ? [''] : []), ...totals(plan, { toCopy, surplus, inStep: totalInStep }, layout)].join('\n')}\n`;
}

function planRows(rows: PlanRow[], layout: Layout): string[] {
  const { paint, columns } = layout;
  const cells = rows.map((row) => ({
    state: paint(states[row.state].style, pad(states[row.state].word, 9)),
    source: formatTarget(row.source),
    destination: `-> ${formatTarget(row.destination)}`,
    cost: costOf(row),
  }));
  const table = layTable(cells.map(({ state, source, destination, cost }) => [state, source, destination, cost]));
  const lines = fits(table, columns)
    ? table.map((line) => [line])
    : cells.map(({ state, source, destination, cost }) => [`${state}  ${source}`, ...hang(destination, cost, columns)]);
  return rows.flatMap(({ failure }, position) => [
    ...(lines[position] ?? []),
    ...(failure === undefined ? [] : failureLines(failure, layout)),
  ]);
}

function costOf({ bytes, blobs, note }: PlanRow): string {
  return [note ?? false, bytes !== undefined && formatBytes(bytes), blobs !== undefined && plural(blobs, 'blob')]
    .filter((part) => part !== false)
    .join(', ');
}

function totals(
  plan: PlanSummary,
  { toCopy, surplus, inStep }: { toCopy: PlanRow[]; surplus: PlanRow[]; inStep: number },
  { paint }: Layout,
): string[] {
  const count = (state: PlanRow['state']) => toCopy.filter((row) => row.state === state).length;
  const kinds = (['new', 'changed', 'incomplete', 'unknown'] as const)
    .map((state) => ({ state, tags: count(state) }))
    .filter(({ tags }) => tags > 0)
    .map(({ state, tags }) => `${formatCount(tags)} ${states[state].word}`)
    .join(', ');
  const known = toCopy.filter(({ bytes }) => bytes !== undefined);
  const bytes = known.reduce((sum, row) => sum + (row.bytes ?? 0), 0);
  const moved =
    known.length > 0 ? `; ${known.length < toCopy.length ? 'at least ' : ''}${formatBytes(bytes)} to move` : '';
  const failures = plan.ruleFailures.length > 0 ? `, ${plural(plan.ruleFailures.length, 'rule')} failed` : '';
  const gone = surplus.length > 0 ? `, ${paint('red', `${formatCount(surplus.length)} to delete`)}` : '';
  const head = `${paint('bold', plural(toCopy.length, 'tag'))} to copy${kinds && ` (${kinds})`}${gone}, ${formatCount(inStep)} in step${withoutImage(plan.empty)}`;
  const pulls = plan.pulls
    .filter((entry) => entry.pulls > 0)
    .map(({ registry, pulls: count, quota }) => {
      const left = quota === undefined ? '' : `, which has ${formatQuota(quota)}`;
      return `${plural(count, 'pull')} of ${registry}'s quota${left}`;
    });
  const budgets = plan.budgets.map(
    ({ ruleId, pulls: count, left, budget }) =>
      `${clean(ruleId)} would take ${plural(count, 'pull')}; its budget has ${formatBudget({ ...budget, left })}.`,
  );
  return [
    `${head}${failures}${moved}`,
    ...(pulls.length > 0 ? [`It would take ${pulls.join(' and ')}.`] : []),
    ...budgets,
    'Nothing was written.',
  ];
}
