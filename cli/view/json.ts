import type { Failure } from '../../core/model/errors.ts';
import { formatTarget } from '../../core/model/reference.ts';
import type { PlanSummary } from '../../core/pipeline/cost.ts';
import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { SeenQuota, StoredPulls } from '../../core/pipeline/ports/pulls.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { pullsLeft } from '../../core/pipeline/pull-budget.ts';
import type { VerifyRow } from '../../core/pipeline/verify.ts';
import type { Output, View } from './output.ts';

/**
 * For programs: one JSON document a line on stdout, and nothing else there. docs/cli.md promises the fields and types.
 * Times are ISO 8601 in UTC, sizes are bytes, references are text.
 */
export type JsonLine = { type: string } & Record<string, unknown>;

export function createJsonView(options: { output: Output; now: () => number }): View {
  const { output, now } = options;
  const write = (line: JsonLine) => output.write(formatJsonLine(line));
  return {
    emit(event) {
      for (const line of eventJson(event, now())) write(line);
    },
    close(run) {
      if (run !== undefined) write(runJson(run));
    },
  };
}

/**
 * One line with its line end. A big integer becomes a number where that is exact, else text: JSON has no big integers.
 */
export function formatJsonLine(line: JsonLine): string {
  const json = JSON.stringify(line, (_, value: unknown) => {
    if (typeof value !== 'bigint') return value;
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  });
  return `${json}\n`;
}

function eventJson(event: PipelineEvent, now: number): JsonLine[] {
  const at = time(now);
  switch (event.type) {
    case 'rule-planned': {
      const { ruleId, planned, unchanged, tasks } = event;
      return [{ type: 'rule', at, rule: ruleId, planned, unchanged, tasks }];
    }
    case 'rule-failed':
      return [
        {
          type: 'rule-failed',
          at,
          rule: event.ruleId,
          willRetry: event.willRetry,
          failure: failureJson(event.failure),
        },
      ];
    case 'tag-unchanged': {
      const { ruleId, source, destination, digest, note } = event;
      return [outcomeJson({ at: now, ruleId, source, destination, result: 'unchanged', sourceDigest: digest, note })];
    }
    case 'task-finished':
      return event.outcomes.map(outcomeJson);
    case 'task-retrying':
      return [
        {
          type: 'retry',
          at,
          rule: event.task.ruleId,
          source: formatTarget(event.task.source),
          destinations: event.task.destinations.map(formatTarget),
          failure: failureJson(event.failure),
        },
      ];
    case 'parked':
      return [{ type: 'parked', at, registry: event.registry, until: time(event.until), reason: event.reason }];
    case 'warning':
      return [{ type: 'warning', at, message: event.message }];
    case 'blob-finished':
    case 'blob-progress':
    case 'blob-started':
    case 'task-started':
      return [];
  }
}

type Told = Omit<Outcome, 'runId' | Quantity> & Partial<Pick<Outcome, Quantity>>;
type Quantity = 'bytes' | 'mounted' | 'present';

/** How one tag ended at one destination. */
export function outcomeJson(outcome: Told): JsonLine {
  return {
    type: 'outcome',
    at: time(outcome.at),
    rule: outcome.ruleId,
    source: formatTarget(outcome.source),
    destination: formatTarget(outcome.destination),
    result: outcome.result,
    sourceDigest: outcome.sourceDigest,
    destinationDigest: outcome.destinationDigest,
    bytes: outcome.bytes ?? 0,
    mounted: outcome.mounted ?? 0,
    present: outcome.present ?? 0,
    note: outcome.note,
    failure: outcome.failure && failureJson(outcome.failure),
  };
}

/** A run as a whole: the last line of sync and redrive, and what `status` prints. */
export function runJson(run: RunRecord): JsonLine {
  return {
    type: 'run',
    run: run.id,
    trigger: run.trigger,
    state: run.state,
    startedAt: time(run.startedAt),
    endedAt: run.endedAt === undefined ? undefined : time(run.endedAt),
    ...run.counts,
    ruleFailures: run.ruleFailures.map(({ ruleId, failure }) => ({ rule: ruleId, failure: failureJson(failure) })),
  };
}

/** `status`: what is left of the quotas of registries and of the budgets of rules. */
export function* quotaJson(
  { quotas, pulls }: { quotas: SeenQuota[]; pulls: StoredPulls[] },
  now: number,
): Generator<JsonLine> {
  for (const { at, ...quota } of quotas) yield { type: 'quota', at: time(at), ...quota };
  for (const { ruleId, counts } of pulls) {
    yield { type: 'budget', rule: ruleId, ...counts.budget, left: pullsLeft(counts, now) };
  }
}

/** `plan`: a line for every tag, and the totals. */
export function* planJson(plan: PlanSummary): Generator<JsonLine> {
  for (const { ruleId, source, destination, failure, ...rest } of plan.rows) {
    yield {
      type: 'tag',
      rule: ruleId,
      source: formatTarget(source),
      destination: formatTarget(destination),
      ...rest,
      failure: failure && failureJson(failure),
    };
  }
  yield {
    type: 'plan',
    inStep: plan.inStepByRule.map(({ ruleId, tags }) => ({ rule: ruleId, tags })),
    empty: plan.empty,
    pulls: plan.pulls,
    repositories: plan.discovered.map(({ ruleId, repositories }) => ({ rule: ruleId, repositories })),
    budgets: plan.budgets.map(({ ruleId, ...budget }) => ({ rule: ruleId, ...budget })),
    ruleFailures: plan.ruleFailures.map(({ ruleId, failure }) => ({ rule: ruleId, failure: failureJson(failure) })),
  };
}

/** `verify`: a line for every destination tag, and how many of each. */
export function* verifyJson(rows: VerifyRow[]): Generator<JsonLine> {
  const counts = { ok: 0, empty: 0, differs: 0, missing: 0, incomplete: 0, surplus: 0, unreadable: 0 };
  for (const { destination, source, failure, ...rest } of rows) {
    counts[rest.state]++;
    yield {
      type: 'destination',
      destination: formatTarget(destination),
      source: source && formatTarget(source),
      rule: rest.ruleId,
      // With `ruleId`, the name that it had here at first.
      ...rest,
      failure: failure && failureJson(failure),
    };
  }
  yield { type: 'verify', ...counts };
}

function failureJson(failure: Failure): Record<string, unknown> {
  return { ...failure, retryAt: failure.retryAt === undefined ? undefined : time(failure.retryAt) };
}

function time(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
