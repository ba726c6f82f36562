import type { Failure } from '../../core/model/errors.ts';
import { formatTarget } from '../../core/model/reference.ts';
import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { type Paint, resultStyles, type Style } from './color.ts';
import { describeFailure, formatBytes, formatClock, formatDuration, plural } from './format.ts';
import { clean } from './text.ts';

/** The width of the word that begins each line: `unchanged` is the longest. */
const wordWidth = 9;

/** Of tags that are tried again for one reason, so many are named: a registry that is down may have thousands. */
const MOST_NAMED = 10;
/** A reason that did not come for so long is a new one. */
const FORGOTTEN_MS = 60_000;
const MAX_REASONS = 100;

interface LineContext {
  paint: Paint;
  /** Epoch ms. */
  now: number;
  verbose: boolean;
  /** How long the task took, for `task-finished`. */
  tookMs?: number | undefined;
}

/** The log lines of an event, without time stamps. Most events have none. */
type EventLines = (event: PipelineEvent, context: LineContext) => string[];

/** Tells events as lines, and of many that say the same only the first, unless it is verbose. */
export function createEventLines(): EventLines {
  const reasons = new Map<string, { count: number; at: number }>();

  /** How often a reason was told lately, this time included. */
  function countOf(reason: string, now: number): number {
    const before = reasons.get(reason);
    const count = before === undefined || now - before.at > FORGOTTEN_MS ? 1 : before.count + 1;
    if (reasons.size >= MAX_REASONS) reasons.clear();
    reasons.set(reason, { count, at: now });
    return count;
  }

  return (event, context) => {
    if (event.type !== 'task-retrying' || context.verbose) return eventLines(event, context);
    const reason = describeFailure(event.failure);
    const count = countOf(reason, context.now);
    if (count <= MOST_NAMED) return eventLines(event, context);
    if (count > MOST_NAMED + 1) return [];
    return [retryingLine(context.paint, 'more tags (--verbose names them)', reason)];
  };
}

function styledLine(paint: Paint, style: Style, word: string, text: string): string {
  return `${paint(style, word.padEnd(wordWidth))} ${text}`;
}

function retryingLine(paint: Paint, what: string, reason: string): string {
  return styledLine(paint, 'yellow', 'retrying', `${what}: again in the next round, after ${reason}`);
}

function eventLines(event: PipelineEvent, context: LineContext): string[] {
  const { paint, now, verbose, tookMs } = context;
  const line = (style: Style, word: string, text: string) => styledLine(paint, style, word, text);
  switch (event.type) {
    case 'rule-planned': {
      const counts = `${plural(event.planned, 'tag')}, ${plural(event.tasks, 'task')} to do, ${event.unchanged} in step`;
      return [line('dim', 'planned', `${clean(event.ruleId)}: ${counts}`)];
    }
    case 'rule-failed': {
      const again = event.willRetry ? ' (will be tried again)' : '';
      return [line('red', 'failed', `rule ${clean(event.ruleId)}: ${reasonOf(event.failure)}${again}`)];
    }
    case 'tag-unchanged':
      return verbose
        ? [
            line(
              'dim',
              'unchanged',
              `${formatTarget(event.source)} -> ${formatTarget(event.destination)}${noteOf(event)}`,
            ),
          ]
        : [];
    case 'task-finished':
      return event.outcomes.map((outcome) =>
        line(resultStyles[outcome.result], outcome.result, outcomeText(outcome, now, tookMs)),
      );
    case 'task-retrying':
      return [retryingLine(paint, formatTarget(event.task.source), describeFailure(event.failure))];
    case 'parked': {
      const left = formatDuration(event.until - now);
      return [
        line(
          'yellow',
          'parked',
          `${event.registry} for ${left}, until ${formatClock(event.until, now)}: ${clean(event.reason)}`,
        ),
      ];
    }
    case 'warning':
      return [line('yellow', 'warning', clean(event.message))];
    case 'blob-finished':
    case 'blob-progress':
    case 'blob-started':
    case 'task-started':
      return [];
  }
}

function outcomeText(outcome: Outcome, now: number, tookMs: number | undefined): string {
  const where = `${formatTarget(outcome.source)} -> ${formatTarget(outcome.destination)}`;
  const { failure, result } = outcome;
  if (failure !== undefined) {
    const until =
      result === 'deferred' && failure.retryAt !== undefined ? ` until ${formatClock(failure.retryAt, now)}` : '';
    return `${where}${until}: ${reasonOf(failure)}`;
  }
  const note = noteOf(outcome);
  if (result === 'deleted') return `${where}: ${outcome.destinationDigest}${note}`;
  if (result !== 'copied') return `${where}${note}`;
  const mounted = outcome.mounted > 0 ? `, ${plural(outcome.mounted, 'blob')} mounted` : '';
  const took = tookMs === undefined ? '' : ` in ${formatDuration(tookMs)}`;
  return `${where}: ${formatBytes(outcome.bytes)}${took}${mounted}${note}`;
}

function noteOf({ note }: { note?: string }): string {
  return note === undefined ? '' : `, ${clean(note)}`;
}

/** Reason and mend on one line, so that a line found in a log is complete. */
function reasonOf(failure: Failure): string {
  const reason = describeFailure(failure);
  return failure.mend === undefined ? reason : `${reason}. ${clean(failure.mend)}`;
}
