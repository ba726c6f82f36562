import { LRUCache } from 'lru-cache';
import type { Failure } from '../model/errors.ts';
import { formatTarget } from '../model/reference.ts';
import { createSlots } from '../model/slots.ts';
import { countEnded, type Outcome, type RuleCounts, type RunRecord, type Runs } from '../pipeline/ports/runs.ts';
import type { SyncRecords } from '../pipeline/ports/sync-records.ts';
import { compareBytes } from '../rules/version.ts';

/** How one rule stands, by the newest run that expanded it and all runs since. */
export interface RuleState {
  ruleId: string;
  /** Destination tags; undefined where no run that is known expanded the rule to its end. */
  planned: number | undefined;
  failing: number;
  /** Planned by a run that goes on, and without an outcome yet. */
  inHand: number;
  /** Start of the run that expanded it. Epoch ms. */
  plannedAt: number | undefined;
  /** Start of the last run that copied or deleted something. Epoch ms. */
  changedAt: number | undefined;
  /** Tags and bytes copied in all runs that were read. */
  copied: number;
  bytes: number;
  /** Why the rule could not be expanded, where that is newer than its last expansion. */
  failure?: Failure;
}

export interface Survey {
  /** Newest first. */
  runs: RunRecord[];
  /** Ordered by rule. */
  rules: RuleState[];
  /** The last outcome of each tag that is not in step, ordered by destination. */
  failing: Outcome[];
  /** There are more of them than are read. */
  isCut: boolean;
}

export interface SurveyOptions {
  /** How many runs are looked at. */
  runs: number;
  /** Ids of the rules of now; those of older files are left out. Undefined: every rule that a run tells of. */
  ruleIds?: ReadonlySet<string>;
}

/** What an ended run says of its rules does not change any more. */
interface RunDetails {
  rules: RuleCounts[];
  problems: Outcome[];
}

const MOST_FAILING = 10_000;
const KEPT_RUNS = 300;
const READS_AT_ONCE = 8;

export type Surveyor = (options: SurveyOptions) => Promise<Survey>;

/**
 * Tells how everything stands, from what runs left in the ledger. A tag is failing when its last outcome is `failed` or
 * `deferred`, unless the ledger has a newer record of it, or its rule was expanded to the end by a newer run that says
 * nothing of it: then it is in step, or the rule takes it no more.
 */
export function createSurveyor(ledger: Pick<Runs, 'listRuns' | 'readRules' | 'readOutcomes'> & SyncRecords): Surveyor {
  const kept = new LRUCache<string, RunDetails>({ max: KEPT_RUNS });
  const slots = createSlots(READS_AT_ONCE);

  async function readDetails(run: RunRecord): Promise<RunDetails> {
    const key = JSON.stringify([run.id, run.endedAt, run.counts]);
    const known = kept.get(key);
    if (known !== undefined) return known;
    const { failed, deferred } = run.counts;
    const problems: Outcome[] = [];
    if (failed + deferred > 0) {
      for await (const page of ledger.readOutcomes(run.id, ['failed', 'deferred'])) {
        problems.push(...page);
        if (problems.length > MOST_FAILING) break;
      }
    }
    const details = { rules: await ledger.readRules(run.id), problems };
    if (run.state !== 'running') kept.set(key, details);
    return details;
  }

  async function isMended({ destination, at }: Outcome): Promise<boolean> {
    const record = await ledger.read(destination);
    return record !== undefined && record.how !== 'gone' && record.at > at;
  }

  return async (options) => {
    const runs = await ledger.listRuns(options.runs);
    const read = runs.map((run) => slots(async () => ({ run, details: await readDetails(run) })));
    const found = collect(await Promise.all(read), options);
    const mended = await Promise.all(found.failing.map((outcome) => slots(() => isMended(outcome))));
    const failing = found.failing.filter((_, position) => mended[position] !== true);
    const counts = Map.groupBy(failing, ({ ruleId }) => ruleId);
    const rules = [...found.rules.values()].map((rule) => ({ ...rule, failing: counts.get(rule.ruleId)?.length ?? 0 }));
    return {
      runs,
      rules: rules.sort((a, b) => compareBytes(a.ruleId, b.ruleId)),
      failing: sortByDestination(failing),
      isCut: found.isCut,
    };
  };
}

/** @param read newest first */
function collect(
  read: ReadonlyArray<{ run: RunRecord; details: RunDetails }>,
  { ruleIds }: SurveyOptions,
): { rules: Map<string, RuleState>; failing: Outcome[]; isCut: boolean } {
  const rules = new Map<string, RuleState>();
  const closed = new Set<string>();
  const empty = new Map<string, number>();
  const failing = new Map<string, Outcome>();
  const stateOf = (ruleId: string): RuleState | undefined => {
    if (ruleIds?.has(ruleId) === false) return undefined;
    const state = rules.get(ruleId) ?? emptyState(ruleId);
    rules.set(ruleId, state);
    return state;
  };
  for (const ruleId of ruleIds ?? []) stateOf(ruleId);
  for (const { run, details } of read) {
    for (const outcome of details.problems) {
      const key = `${formatTarget(outcome.destination)} ${outcome.ruleId}`;
      if (closed.has(outcome.ruleId) || failing.has(key) || stateOf(outcome.ruleId) === undefined) continue;
      failing.set(key, outcome);
    }
    for (const { ruleId, failure } of run.ruleFailures) {
      const state = stateOf(ruleId);
      if (state !== undefined && state.planned === undefined) state.failure ??= failure;
    }
    for (const counts of details.rules) {
      const state = stateOf(counts.ruleId);
      if (state === undefined) continue;
      const isWhole = counts.isExpanded && counts.planned > deletionsOf(counts, details.problems);
      addRun(state, counts, run, isWhole);
      if (counts.isExpanded && counts.planned === 0 && !empty.has(counts.ruleId))
        empty.set(counts.ruleId, run.startedAt);
      if (isWhole && run.state !== 'running') closed.add(counts.ruleId);
    }
  }
  for (const state of rules.values()) {
    // No tag fits it, as far as any run tells.
    if (state.planned === undefined && empty.has(state.ruleId)) {
      state.planned = 0;
      state.plannedAt = empty.get(state.ruleId);
    }
  }
  const list = [...failing.values()];
  return { rules, failing: list.slice(0, MOST_FAILING), isCut: list.length > MOST_FAILING };
}

function emptyState(ruleId: string): RuleState {
  const unknown = { planned: undefined, plannedAt: undefined, changedAt: undefined };
  return { ruleId, ...unknown, failing: 0, inHand: 0, copied: 0, bytes: 0 };
}

/** A push event of a deletion has the deletions of a rule planned alone: that is no expansion of the rule. */
function deletionsOf({ ruleId, deleted }: RuleCounts, problems: readonly Outcome[]): number {
  return deleted + problems.filter((outcome) => outcome.ruleId === ruleId && outcome.deletion !== undefined).length;
}

function addRun(state: RuleState, counts: RuleCounts, run: RunRecord, isWhole: boolean): void {
  const { planned, copied, deleted, bytes } = counts;
  if (run.state === 'running') state.inHand += Math.max(0, planned - countEnded(counts));
  if (isWhole && state.planned === undefined) {
    state.planned = planned - deleted;
    state.plannedAt = run.startedAt;
  }
  if (copied + deleted > 0) state.changedAt ??= run.startedAt;
  state.copied += copied;
  state.bytes += bytes;
}

/** Destination tags that are equal to their sources, as far as is known. */
export function inStep({ planned = 0, failing, inHand }: RuleState): number {
  return Math.max(0, planned - failing - inHand);
}

function sortByDestination(outcomes: Outcome[]): Outcome[] {
  return outcomes
    .map((outcome) => ({ outcome, name: formatTarget(outcome.destination) }))
    .sort((a, b) => compareBytes(a.name, b.name))
    .map(({ outcome }) => outcome);
}
