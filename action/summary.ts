import { describeFailure, formatBytes, formatDuration, plural } from '../cli/view/format.ts';
import { clean } from '../cli/view/text.ts';
import { formatTarget } from '../core/model/reference.ts';
import type { Outcome, RunRecord } from '../core/pipeline/ports/runs.ts';
import { fitting } from './workflow.ts';

/** Of one table. The runner takes 1 MiB of summary for each step, or none of it. */
const MAX_ROWS = 500;
const MAX_TABLE_BYTES = 300_000;
/** Of a report that is shown as it was printed. */
const MAX_REPORT_CHARACTERS = 200_000;

/** A run for the summary of a job, in Markdown: failures first, then what was copied. */
export function runSummary(command: string, run: RunRecord, outcomes: readonly Outcome[]): string {
  const { planned, copied, deleted, unchanged, failed, deferred, bytes } = run.counts;
  const problems = outcomes.filter(({ result }) => result === 'failed' || result === 'deferred');
  const done = outcomes.filter(({ result }) => result === 'copied');
  const counts = [
    `${copied} copied`,
    ...(deleted > 0 ? [`${deleted} deleted`] : []),
    `${unchanged} unchanged`,
    ...(failed > 0 ? [`**${failed} failed**`] : []),
    ...(deferred > 0 ? [`**${deferred} deferred**`] : []),
    ...(run.ruleFailures.length > 0 ? [`**${plural(run.ruleFailures.length, 'rule')} failed**`] : []),
    ...(run.state === 'interrupted' ? ['**stopped before the end**'] : []),
  ].join(', ');
  const took = run.endedAt === undefined ? '' : `, ${formatDuration(run.endedAt - run.startedAt)}`;
  return [
    `### tranship ${command}: ${plural(planned, 'tag')}`,
    `${counts}; ${formatBytes(bytes)} moved${took}`,
    ...table(
      ['rule', 'why its tags could not be read'],
      run.ruleFailures.map(({ ruleId, failure }) => [code(ruleId), why(failure)]),
    ),
    ...table(
      ['', 'source', 'destination', 'why'],
      problems.map((outcome) => [
        outcome.result,
        code(formatTarget(outcome.source)),
        code(formatTarget(outcome.destination)),
        outcome.failure === undefined ? '' : why(outcome.failure),
      ]),
    ),
    ...folded(
      plural(done.length, 'tag copied', 'tags copied'),
      table(
        ['source', 'destination', 'moved'],
        done.map((outcome) => [
          code(formatTarget(outcome.source)),
          code(formatTarget(outcome.destination)),
          formatBytes(outcome.bytes),
        ]),
      ),
    ),
    '',
  ].join('\n\n');
}

/** What ended the command. */
export function errorSummary(text: string): string {
  return `### tranship failed\n\n${fenced(text)}`;
}

/** What a command printed, for the summary of a job. */
export function reportSummary(command: string, report: string): string {
  return `### tranship ${command}\n\n${fenced(report)}`;
}

function fenced(text: string): string {
  const shown = clip(text, MAX_REPORT_CHARACTERS);
  // A fence longer than any within ends only where it should.
  const longest = Math.max(2, ...[...shown.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${shown.trimEnd()}\n${fence}\n\n`;
}

function table(head: string[], rows: string[][]): string[] {
  if (rows.length === 0) return [];
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  const shown = fitting(rows.slice(0, MAX_ROWS).map(line), MAX_TABLE_BYTES);
  const text = [line(head), line(head.map(() => '---')), ...shown].join('\n');
  return rows.length > shown.length ? [text, `and ${rows.length - shown.length} more`] : [text];
}

function folded(title: string, blocks: string[]): string[] {
  return blocks.length === 0 ? [] : [`<details><summary>${title}</summary>`, ...blocks, '</details>'];
}

function why(failure: Parameters<typeof describeFailure>[0]): string {
  const mend = failure.mend === undefined ? '' : `<br>${plain(failure.mend)}`;
  return `${plain(describeFailure(failure))}${mend}`;
}

/** Text from outside as text: no Markdown, no HTML, no new cell of a table. */
function plain(text: string): string {
  return clean(text).replace(/[&<>|`*_[\]\\#~@]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function code(text: string): string {
  return `<code>${plain(text)}</code>`;
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}\n...`;
}
