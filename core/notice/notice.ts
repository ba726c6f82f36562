import type { Failure } from '../model/errors.ts';
import { formatTarget } from '../model/reference.ts';
import type { Outcome, RunRecord, Runs } from '../pipeline/ports/runs.ts';

/** A run that has ended, and its outcomes that are no successes. */
export interface EndedRun {
  run: RunRecord;
  problems: readonly Outcome[];
}

/** Something that went wrong in a run: a rule, or a tag at one destination. */
export interface NoticedProblem {
  /** `rule NAME`, or `source -> destination`. */
  name: string;
  failure: Failure | undefined;
}

/** What people are told of a run: one message, however many tags. */
export interface Notice {
  run: RunRecord;
  /** What went wrong and did not in the run before. */
  fresh: NoticedProblem[];
  /** What went wrong in both. */
  lasting: NoticedProblem[];
  /** The names of what went wrong in the run before, and is well now. */
  recovered: string[];
}

/** Problems of one run that are read; of one with more, nobody is told what is well again. */
const MAX_READ = 20_000;
/** How many runs are looked through for the one before. */
const RUNS_LOOKED_THROUGH = 30;

/**
 * Decides whether a run is worth a message. It is when something new goes wrong, something is well again, or the run was
 * given up. What goes on failing is told again once a day (UTC), so that an hourly schedule does not tell it 24 times.
 *
 * @param before what was to be told before: the last run with the same trigger that came to its end, or an earlier look at
 *   the same one; undefined for the first
 */
export function decideNotice(ended: EndedRun, before: EndedRun | undefined): Notice | undefined {
  const { run } = ended;
  const now = problemsOf(ended);
  const isWhole = isOfRules(run) && run.state === 'done' && ended.problems.length < MAX_READ;
  const earlier = before === undefined ? new Map<string, RuleProblem>() : problemsOf(before);
  const unreadRules = new Set(run.ruleFailures.map(({ ruleId }) => ruleId));
  const recovered = [...earlier].filter(([name, { ruleId }]) => !now.has(name) && !unreadRules.has(ruleId));
  const notice: Notice = {
    run,
    fresh: [...now.values()].filter(({ name }) => !earlier.has(name)),
    lasting: [...now.values()].filter(({ name }) => earlier.has(name)),
    recovered: isWhole ? recovered.map(([name]) => name) : [],
  };
  const isNewDay = before !== undefined && dayOf(before.run) !== dayOf(run);
  const isWorthIt =
    run.state === 'interrupted' ||
    notice.fresh.length > 0 ||
    notice.recovered.length > 0 ||
    (notice.lasting.length > 0 && isNewDay);
  return isWorthIt ? notice : undefined;
}

/**
 * The notice of a run that has ended, by what the ledger remembers; undefined where it is not worth one.
 * @param told what was told of the same run before
 */
export async function noticeOf(
  ledger: Pick<Runs, 'listRuns' | 'readOutcomes'>,
  run: RunRecord,
  told?: EndedRun,
): Promise<{ notice: Notice | undefined; ended: EndedRun }> {
  const ended = await withProblems(ledger, run);
  const before = told ?? (await runBefore(ledger, run));
  return { notice: decideNotice(ended, before), ended };
}

/** The last one of the same rules; a push has none. */
async function runBefore(
  ledger: Pick<Runs, 'listRuns' | 'readOutcomes'>,
  run: RunRecord,
): Promise<EndedRun | undefined> {
  if (!isOfRules(run)) return undefined;
  const before = (await ledger.listRuns(RUNS_LOOKED_THROUGH)).find(
    ({ id, trigger, state, startedAt }) =>
      id !== run.id && trigger === run.trigger && state === 'done' && startedAt <= run.startedAt,
  );
  return before && (await withProblems(ledger, before));
}

async function withProblems(ledger: Pick<Runs, 'readOutcomes'>, run: RunRecord): Promise<EndedRun> {
  const problems: Outcome[] = [];
  if (run.counts.failed + run.counts.deferred === 0) return { run, problems };
  for await (const page of ledger.readOutcomes(run.id, ['failed', 'deferred'])) {
    problems.push(...page);
    if (problems.length >= MAX_READ) break;
  }
  return { run, problems };
}

/** A push, and a redrive, are about some tags; they do not tell of others. */
function isOfRules({ rules }: RunRecord): boolean {
  return (rules?.total ?? 0) > 0;
}

type RuleProblem = NoticedProblem & { ruleId: string };

function problemsOf({ run, problems }: EndedRun): Map<string, RuleProblem> {
  const all = [
    ...run.ruleFailures.map(({ ruleId, failure }) => ({ name: `rule ${ruleId}`, ruleId, failure })),
    ...problems.map(({ ruleId, source, destination, failure }) => ({
      name: `${formatTarget(source)} -> ${formatTarget(destination)}`,
      ruleId,
      failure,
    })),
  ];
  return new Map(all.map((problem) => [problem.name, problem]));
}

function dayOf({ startedAt }: RunRecord): string {
  return new Date(startedAt).toISOString().slice(0, 10);
}
