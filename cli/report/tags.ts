import type { Failure } from '../../core/model/errors.ts';
import { formatTarget } from '../../core/model/reference.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { type Paint, resultStyles } from '../view/color.ts';
import { describeFailure, formatBytes, formatClock, formatCount, formatDuration, plural } from '../view/format.ts';
import { clean } from '../view/text.ts';
import { pad, wrap } from '../view/width.ts';
import { fits, layTable } from './table.ts';

export interface Layout {
  paint: Paint;
  /** Of the terminal; undefined in a pipe, where lines are as long as they need to be. */
  columns: number | undefined;
  now: number;
}

/** The width of the first column: `unchanged` and two blanks. */
const indent = 11;

/** One row for each outcome: result, source, destination, size. On a narrow terminal a row takes two or three lines. */
export function tagRows(outcomes: Outcome[], layout: Layout): string[] {
  const { paint, columns } = layout;
  const cells = outcomes.map((outcome) => ({
    result: paint(resultStyles[outcome.result], pad(outcome.result, indent - 2)),
    source: formatTarget(outcome.source),
    destination: `-> ${formatTarget(outcome.destination)}`,
    extent: extentOf(outcome, layout.now),
  }));
  const table = layTable(cells.map(({ result, source, destination, extent }) => [result, source, destination, extent]));
  if (fits(table, columns)) return table;
  return cells.flatMap(({ result, source, destination, extent }) => [
    `${result}  ${source}`,
    ...hang(destination, extent, columns),
  ]);
}

/** The second line of a row that is too wide for the terminal, and a third one where the second is too wide as well. */
export function hang(destination: string, extent: string, columns: number | undefined): string[] {
  const blanks = ' '.repeat(indent);
  const line = `${blanks}${destination}  ${extent}`.trimEnd();
  return extent === '' || fits([line], columns) ? [line] : [blanks + destination, blanks + extent];
}

/**
 * Rows of failed or deferred tags. Tags with the same reason stand together, and the reason and its mend follow once.
 */
export function problemRows(outcomes: Outcome[], layout: Layout): string[] {
  const groups = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    const { failure, result } = outcome;
    const key = failure ? JSON.stringify([result, failure.code, failure.class, failure.message, failure.mend]) : result;
    const group = groups.get(key);
    if (group) group.push(outcome);
    else groups.set(key, [outcome]);
  }
  return [...groups.values()].flatMap((group) => [
    ...tagRows(group, layout),
    ...(group[0]?.failure === undefined ? [] : failureLines(group[0].failure, layout)),
  ]);
}

/** How many tags of those that were just counted have no image for their rule's platforms. */
export function withoutImage(tags: number): string {
  return tags === 0 ? '' : ` (${formatCount(tags)} without an image for the platforms)`;
}

/** What happened and what to do about it, indented under its rows. */
export function failureLines(failure: Failure, { paint, columns }: Layout, under = indent): string[] {
  const width = columns === undefined ? Number.POSITIVE_INFINITY : Math.max(30, columns - under);
  const blanks = ' '.repeat(under);
  return [
    ...wrap(describeFailure(failure), width),
    ...(failure.mend === undefined ? [] : wrap(clean(failure.mend), width).map((line) => paint('cyan', line))),
  ].map((line) => blanks + line);
}

/** A rule that was not planned to its end, and why. */
export function ruleFailureRows(
  failures: ReadonlyArray<{ ruleId: string; failure: Failure }>,
  layout: Layout,
): string[] {
  return failures.flatMap(({ ruleId, failure }) => {
    const what = failure.code === 'too-many-deletions' ? 'it deletes nothing' : 'its tags could not be read';
    const head = `${layout.paint('red', pad('failed', indent - 2))}  rule ${clean(ruleId)}: ${what}`;
    return [head, ...failureLines(failure, layout)];
  });
}

function extentOf(outcome: Outcome, now: number): string {
  const { result, failure, bytes, mounted, note } = outcome;
  const parts: string[] = [];
  if (result === 'copied') parts.push(formatBytes(bytes));
  if (result === 'deleted') parts.push(outcome.destinationDigest ?? '');
  if (result === 'copied' && mounted > 0) parts.push(`${plural(mounted, 'blob')} mounted`);
  if (result === 'deferred' && failure?.retryAt !== undefined) {
    const leftMs = failure.retryAt - now;
    parts.push(`until ${formatClock(failure.retryAt, now)}${leftMs > 0 ? `, in ${formatDuration(leftMs)}` : ''}`);
  }
  if (note !== undefined) parts.push(clean(note));
  return parts.join(', ');
}
