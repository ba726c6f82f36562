import type { SeenQuota, StoredPulls } from '../../core/pipeline/ports/pulls.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { pullsLeft } from '../../core/pipeline/pull-budget.ts';
import { createPaint, type Paint } from '../view/color.ts';
import { formatBytes, formatClock, formatCount, formatDuration, plural } from '../view/format.ts';
import { clean } from '../view/text.ts';
import { pad } from '../view/width.ts';
import { formatBudget, formatQuota } from './quota.ts';
import { layTable } from './table.ts';
import { type Layout, problemRows, ruleFailureRows } from './tags.ts';

export interface StatusSummary {
  /** Newest first. `problems` are the failed and deferred tags of the newest one; the others have none here. */
  runs: Array<{ run: RunRecord; problems: Outcome[] }>;
  parks: Array<{ registry: string; until: number; reason: string }>;
  /** Quotas of registries, as they were seen last. */
  quotas: SeenQuota[];
  /** Rules with a budget that have pulled lately. */
  pulls: StoredPulls[];
  /** Tasks of a stack that wait for a long worker, about. */
  longTasks?: number;
}

/** The last runs as a table, then the tags and rules of the newest one that failed or were deferred, and why. */
export function renderStatus(options: {
  status: StatusSummary;
  color: boolean;
  columns: number | undefined;
  now: number;
}): string {
  const { status, columns, now } = options;
  const paint = createPaint(options.color);
  const layout: Layout = { paint, columns, now };
  if (status.runs.length === 0) return 'There was no run yet. Start one with: tranship sync\n';

  const deletes = status.runs.some(({ run }) => run.counts.deleted > 0);
  const counts = ['COPIED', ...(deletes ? ['DELETED'] : []), 'UNCHANGED', 'FAILED', 'DEFERRED', 'MOVED'];
  const heads = ['RUN', 'STARTED', 'TOOK', 'STATE', ...counts, 'OF'];
  const rows = status.runs.map(({ run }) => runRow(run, { paint, now, deletes }));
  const sections = status.runs
    .slice(0, 1)
    .filter(({ run, problems }) => problems.length + run.ruleFailures.length > 0)
    .map(({ run, problems }) => [
      paint('bold', `Run ${run.id}`),
      ...problemRows(problems, layout),
      ...ruleFailureRows(run.ruleFailures, layout),
    ]);
  const parks = status.parks
    .filter(({ until }) => until > now)
    .map(({ registry, until, reason }) => {
      const word = paint('yellow', pad('parked', 9));
      return `${word}  ${registry} until ${formatClock(until, now)}, in ${formatDuration(until - now)}: ${clean(reason)}`;
    });
  const quotas = status.quotas.map(
    (quota) =>
      `${pad('quota', 9)}  ${quota.registry}: ${formatQuota(quota)}, seen ${formatDuration(now - quota.at)} ago`,
  );
  const budgets = status.pulls.map(
    ({ ruleId, counts }) =>
      `${pad('budget', 9)}  ${clean(ruleId)}: ${formatBudget({ ...counts.budget, left: pullsLeft(counts, now) })}`,
  );
  const waiting =
    (status.longTasks ?? 0) > 0
      ? [
          `${paint('yellow', pad('waiting', 9))}  ${plural(status.longTasks ?? 0, 'task')} for a long worker: tranship worker --stack NAME`,
        ]
      : [];
  const blocks = [
    layTable(
      [heads.map((head) => paint('dim', head)), ...rows],
      counts.map((_, at) => at + 4),
    ),
    ...sections,
    [...parks, ...waiting],
    [...quotas, ...budgets],
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function runRow(run: RunRecord, { paint, now, deletes }: { paint: Paint; now: number; deletes: boolean }): string[] {
  const { copied, deleted, unchanged, failed, deferred, bytes } = run.counts;
  const isWhole = run.state === 'done' && failed + deferred + run.ruleFailures.length === 0;
  return [
    run.id,
    formatClock(run.startedAt, now),
    // An interrupted run may have no end: nobody knows when its process died.
    run.endedAt === undefined
      ? run.state === 'running'
        ? formatDuration(now - run.startedAt)
        : '-'
      : formatDuration(run.endedAt - run.startedAt),
    run.state === 'done'
      ? paint(isWhole ? 'green' : 'red', isWhole ? 'in step' : 'incomplete')
      : paint('yellow', run.state),
    formatCount(copied),
    ...(deletes ? [formatCount(deleted)] : []),
    formatCount(unchanged),
    failed > 0 ? paint('red', formatCount(failed)) : '0',
    deferred > 0 ? paint('yellow', formatCount(deferred)) : '0',
    formatBytes(bytes),
    clean(run.trigger),
  ];
}
