import type { Failure } from '../model/errors.ts';
import { formatTarget } from '../model/reference.ts';
import type { Outcome, RunRecord, Runs } from '../pipeline/ports/runs.ts';
import { redriveTrigger } from '../pipeline/second-chance.ts';

/** A run that has ended, and its outcomes that are no successes. */
export interface EndedRun {
  run: RunRecord;
  problems: readonly Outcome[];
  /** Of second chances: the tags that are well now. Each of them, and each problem, failed in an earlier run. */
  redeemed?: readonly Outcome[];
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

/**
 * Decides whether a run is worth a message. It is when something new goes wrong, something is well again, or the run was
 * given up. What goes on failing is told again once a day (UTC), so that an hourly schedule does not tell it 24 times.
 * Second chances tell what is well again: what fails in them was told before.
 *
 * @param before what was to be told before: the last run with the same trigger that came to its end, or an earlier look at
 *   the same one; undefined for the first
 * @param toldWell the names of what second chances were told to have made well since
 */
export function decideNotice(
  ended: EndedRun,
  before: EndedRun | undefined,
  toldWell?: Pick<ReadonlySet<string>, 'has'>,
): Notice | undefined {
  const { run } = ended;
  const now = problemsOf(ended);
  const isWhole = isOfRules(run) && run.state === 'done' && ended.problems.length < MAX_READ;
  if (ended.redeemed !== undefined) {
    const recovered = redeemedNames(ended);
    return recovered.length === 0 ? undefined : { run, fresh: [], lasting: [...now.values()], recovered };
  }
  const earlier = before === undefined ? new Map<string, RuleProblem>() : problemsOf(before);
  for (const name of earlier.keys()) if (toldWell?.has(name)) earlier.delete(name);
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
  ledger: NoticeLedger,
  run: RunRecord,
  told?: EndedRun,
): Promise<{ notice: Notice | undefined; ended: EndedRun; before: EndedRun | undefined }> {
  const ended = await withProblems(ledger, run);
  const before = told ?? (await readBefore(ledger, run));
  return { notice: decideNotice(ended, before), ended, before };
}

/** What a notice needs of a ledger. */
export type NoticeLedger = Pick<Runs, 'runBefore' | 'readOutcomes'>;

/** The last one of the same rules; a push has none. */
async function readBefore(ledger: NoticeLedger, run: RunRecord): Promise<EndedRun | undefined> {
  if (!isOfRules(run)) return undefined;
  const before = await ledger.runBefore(run);
  return before && (await withProblems(ledger, before));
}

async function withProblems(ledger: Pick<Runs, 'readOutcomes'>, run: RunRecord): Promise<EndedRun> {
  const { failed, deferred } = run.counts;
  const read = (results: Outcome['result'][]) => readSome(ledger, run.id, results);
  const problems = failed + deferred === 0 ? [] : await read(['failed', 'deferred']);
  return run.trigger === redriveTrigger
    ? { run, problems, redeemed: await read(['copied', 'unchanged']) }
    : { run, problems };
}

async function readSome(
  ledger: Pick<Runs, 'readOutcomes'>,
  runId: string,
  results: Outcome['result'][],
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for await (const page of ledger.readOutcomes(runId, results)) {
    outcomes.push(...page);
    if (outcomes.length >= MAX_READ) break;
  }
  return outcomes;
}

/** A push, and a redrive, are about some tags; they do not tell of others. */
function isOfRules({ rules }: RunRecord): boolean {
  return (rules?.total ?? 0) > 0;
}

/** The names of what went wrong in a run. */
export function problemNames(ended: EndedRun): string[] {
  return [...problemsOf(ended).keys()];
}

/** The names of what is well by the second chances of a run. */
export function redeemedNames({ redeemed = [] }: EndedRun): string[] {
  return redeemed.map(nameOf);
}

type RuleProblem = NoticedProblem & { ruleId: string };

function problemsOf({ run, problems }: EndedRun): Map<string, RuleProblem> {
  const all = [
    ...run.ruleFailures.map(({ ruleId, failure }) => ({ name: `rule ${ruleId}`, ruleId, failure })),
    ...problems.map((outcome) => ({ name: nameOf(outcome), ruleId: outcome.ruleId, failure: outcome.failure })),
  ];
  return new Map(all.map((problem) => [problem.name, problem]));
}

function nameOf({ source, destination }: Outcome): string {
  return `${formatTarget(source)} -> ${formatTarget(destination)}`;
}

function dayOf({ startedAt }: RunRecord): string {
  return new Date(startedAt).toISOString().slice(0, 10);
}
