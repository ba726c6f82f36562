import { describeFailure, plural } from '../cli/view/format.ts';
import { configurationError, type Failure, TranshipError } from '../core/model/errors.ts';
import type { Outcome, RunRecord } from '../core/pipeline/ports/runs.ts';
import { type AnnotationPlace, errorCommand } from './workflow.ts';

/** GitHub shows ten errors of a step. */
const MAX_ANNOTATIONS = 10;

/** Where the rules of a run stand. */
export interface RulePlaces {
  file: string;
  /** By rule id. */
  lines: Record<string, number>;
}

/** One annotation for each rule that had failures, at its line of the rules file. */
export function runAnnotations(run: RunRecord, outcomes: readonly Outcome[], places: RulePlaces | undefined): string[] {
  const byRule = new Map<string, { tags: number; failure: Failure }>();
  for (const { ruleId, failure } of run.ruleFailures) byRule.set(ruleId, { tags: 0, failure });
  for (const { ruleId, result, failure } of outcomes) {
    if (result !== 'failed' || failure === undefined) continue;
    const known = byRule.get(ruleId);
    if (known === undefined) byRule.set(ruleId, { tags: 1, failure });
    else known.tags += 1;
  }
  return [...byRule].slice(0, MAX_ANNOTATIONS).map(([ruleId, { tags, failure }]) => {
    const what = tags === 0 ? 'its tags could not be read' : `${plural(tags, 'tag')} failed`;
    const message = [`${what}: ${describeFailure(failure)}`, failure.mend].filter(Boolean).join('\n');
    return errorCommand(message, `tranship: ${ruleId}`, placeOfRule(places, ruleId));
  });
}

function placeOfRule(places: RulePlaces | undefined, ruleId: string): AnnotationPlace | undefined {
  return places === undefined ? undefined : { file: places.file, line: places.lines[ruleId] };
}

/** An annotation for what ended the command: for each line of a file that is wrong, at that line. */
export function errorAnnotations(thrown: unknown): string[] {
  const error = thrown instanceof TranshipError ? thrown : configurationError(String(thrown));
  const { file } = error.place ?? {};
  const placed = error.message.split('\n').flatMap((line) => {
    const rest = file !== undefined && line.startsWith(`${file}:`) ? line.slice(file.length) : '';
    const [, row, column, message] = /^:(\d+):(\d+): (.*)$/.exec(rest) ?? [];
    return message === undefined
      ? []
      : [{ message, place: { file: file ?? '', line: Number(row), column: Number(column) } }];
  });
  if (placed.length > 0) {
    return placed.slice(0, MAX_ANNOTATIONS).map(({ message, place }) => errorCommand(message, 'tranship', place));
  }
  const message = [error.message, error.mend].filter(Boolean).join('\n');
  return [errorCommand(message, 'tranship', file === undefined ? undefined : { file })];
}
