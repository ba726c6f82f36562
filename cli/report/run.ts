import { countEnded, type Outcome, type RunRecord } from '../../core/pipeline/ports/runs.ts';
import { createPaint } from '../view/color.ts';
import { formatBytes, formatDuration, plural } from '../view/format.ts';
import { clean } from '../view/text.ts';
import { pad, wrap } from '../view/width.ts';
import { type Layout, problemRows, ruleFailureRows, tagRows, withoutImage } from './tags.ts';

export interface RunReport {
  run: RunRecord;
  /** Copied, deleted, failed and deferred tags. Unchanged ones are here only where they are known one by one. */
  outcomes: Outcome[];
  /** Tags that planning found in step; they have no outcomes. */
  unchangedByRule: Array<{ ruleId: string; tags: number }>;
  /** Of the unchanged ones, those without an image for their rule's platforms. */
  empty?: number;
  durationMs: number;
  /** Flags of this command that the suggested ones need too, as text of a command line; `logins` where they copy. */
  repeat: { state: string; logins: string };
  /** `problems` prints nothing when nothing went wrong; `all` lists unchanged tags too. */
  detail: 'problems' | 'changes' | 'all';
  color: boolean;
  /** Of the terminal; undefined in a pipe. */
  columns: number | undefined;
  now: number;
}

/**
 * What became of every planned tag of a run, how much was moved, and what to do next. Ends with a line end, or is
 * empty.
 */
export function renderReport(report: RunReport): string {
  const { run, outcomes, detail, columns, now } = report;
  const layout: Layout = { paint: createPaint(report.color), columns, now };
  const byResult = Map.groupBy(outcomes, ({ result }) => result);
  const problems = [
    ...problemRows(byResult.get('deferred') ?? [], layout),
    ...problemRows(byResult.get('failed') ?? [], layout),
    ...ruleFailureRows(run.ruleFailures, layout),
  ];
  const unreached = unreachedTags(run);
  if (detail === 'problems' && problems.length === 0 && unreached === 0 && run.state === 'done') return '';

  const changes =
    detail === 'problems'
      ? []
      : [
          ...unchangedRows(report, layout),
          ...tagRows(byResult.get('copied') ?? [], layout),
          ...tagRows(byResult.get('deleted') ?? [], layout),
        ];
  const rows = [...changes, ...problems];
  const lines = [...rows, ...(rows.length > 0 ? [''] : []), ...totals(report, layout), ...nextSteps(report, layout)];
  return `${lines.join('\n')}\n`;
}

function unchangedRows({ outcomes, unchangedByRule, detail }: RunReport, layout: Layout): string[] {
  const single = outcomes.filter(({ result }) => result === 'unchanged');
  const listed = detail === 'all' ? tagRows(single, layout) : [];
  const byRule = new Map(unchangedByRule.map(({ ruleId, tags }) => [ruleId, tags]));
  if (detail !== 'all') for (const { ruleId } of single) byRule.set(ruleId, (byRule.get(ruleId) ?? 0) + 1);
  const word = layout.paint('dim', pad('unchanged', 9));
  const counted = [...byRule]
    .filter(([, tags]) => tags > 0)
    .map(([ruleId, tags]) => `${word}  ${plural(tags, 'tag')} of ${clean(ruleId)}`);
  return [...counted, ...listed];
}

function totals({ run, outcomes, empty = 0, durationMs }: RunReport, { paint, columns }: Layout): string[] {
  const { planned, copied, deleted, unchanged, failed, deferred, bytes } = run.counts;
  const mounted = outcomes.reduce((sum, outcome) => sum + outcome.mounted, 0);
  const unreached = unreachedTags(run);
  const counts = [
    paint(copied > 0 ? 'green' : 'dim', `${copied} copied`),
    deleted > 0 && paint('red', `${deleted} deleted`),
    `${unchanged} unchanged${withoutImage(empty)}`,
    failed > 0 && paint('red', `${failed} failed`),
    deferred > 0 && paint('yellow', `${deferred} deferred`),
    unreached > 0 && paint('yellow', `${unreached} not reached`),
    run.ruleFailures.length > 0 && paint('red', `${plural(run.ruleFailures.length, 'rule')} failed`),
  ];
  const moved = [
    `${formatBytes(bytes)} moved`,
    mounted > 0 && `${plural(mounted, 'blob')} mounted`,
    formatDuration(durationMs),
  ];
  const text = (parts: Array<string | false>) => parts.filter((part) => part !== false).join(', ');
  const line = `${paint('bold', plural(planned, 'tag'))}: ${text(counts)}; ${text(moved)}`;
  return columns === undefined ? [line] : wrap(line, columns);
}

function nextSteps({ run, outcomes, repeat }: RunReport, { paint }: Layout): string[] {
  const { failed, deferred } = run.counts;
  const steps: Array<[string, string]> = [];
  // Tags that an interruption deferred are no dead letters: the next sync copies them. What could not be deleted is none
  // either: the next sync decides anew.
  const isLetter = ({ failure, deletion }: Outcome) =>
    failure !== undefined && failure.code !== 'aborted' && deletion === undefined;
  if (outcomes.some(isLetter)) {
    // Trying again does not help while every reason is permanent and nothing has been fixed.
    const allPermanent = outcomes.every(({ failure }) => failure === undefined || failure.class === 'permanent');
    steps.push([
      `tranship redrive --run ${run.id}${repeat.logins}${repeat.state}`,
      allPermanent && failed > 0 ? 'once mended, try them again' : 'try them again',
    ]);
  }
  if (unreachedTags(run) > 0 || run.state === 'interrupted') {
    steps.push([run.trigger === 'redrive' ? 'tranship sync' : 'the same command', 'go on where this run stopped']);
  }
  if (failed + deferred + run.ruleFailures.length > 0) {
    steps.push([`tranship status ${run.id}${repeat.state}`, 'show this again']);
  }
  const width = Math.max(0, ...steps.map(([command]) => command.length));
  return steps.map(
    ([command, what], at) => `${at === 0 ? 'Next: ' : '      '}${paint('bold', pad(command, width))}  ${what}`,
  );
}

/** Planned tags without an outcome: the run was stopped before it came to them. */
function unreachedTags({ counts }: RunRecord): number {
  return Math.max(0, counts.planned - countEnded(counts));
}
