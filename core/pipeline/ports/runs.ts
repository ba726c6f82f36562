import type { Failure } from '../../model/errors.ts';
import type { Digest, Target } from '../../model/reference.ts';
import type { PlatformFilter } from '../../model/rule.ts';
import type { DeletionReason } from '../deletions.ts';

/** How one planned tag of a run ended at one destination. */
export interface Outcome {
  runId: string;
  ruleId: string;
  source: Target;
  destination: Target;
  result: 'copied' | 'deleted' | 'unchanged' | 'failed' | 'deferred';
  sourceDigest?: Digest;
  destinationDigest?: Digest;
  /** Why, for failed and deferred. */
  failure?: Failure;
  /** What another try needs besides, for failed and deferred. */
  platforms?: PlatformFilter;
  /** It was to be deleted. */
  deletion?: DeletionReason;
  /** Bytes moved to this destination, blobs mounted there, blobs it had. */
  bytes: number;
  mounted: number;
  present: number;
  /** One sentence for people where the result needs one. */
  note?: string;
  /** Epoch ms. */
  at: number;
}

export interface RunRecord {
  id: string;
  /** What started it: the rules file's name, a schedule's, `redrive`. */
  trigger: string;
  startedAt: number;
  endedAt?: number;
  /** `interrupted`: its process went away before the end. */
  state: 'running' | 'done' | 'interrupted';
  /**
   * How many rules the run expands and how many are through (last page planned, or failed); where it was started with
   * `rules`.
   */
  rules?: { total: number; expanded: number };
  /** Rules that could not be expanded. */
  ruleFailures: Array<{ ruleId: string; failure: Failure }>;
  counts: RunCounts;
}

/** Destination tags of a run; and bytes moved. */
export type RunCounts = Record<'planned' | Outcome['result'] | 'bytes', number>;

/** How many of the planned destination tags have their outcome. */
export function countEnded({ copied, deleted, unchanged, failed, deferred }: RunCounts): number {
  return copied + deleted + unchanged + failed + deferred;
}

/** What one run did for one rule. */
export type RuleCounts = RunCounts & {
  ruleId: string;
  /** Every page of the rule was planned. */
  isExpanded: boolean;
};

/** Nothing yet. */
export const noCounts: RunCounts = {
  planned: 0,
  copied: 0,
  deleted: 0,
  unchanged: 0,
  failed: 0,
  deferred: 0,
  bytes: 0,
};

/** What was planned in each run, and how each of its tags ended. Every write is a single-item, idempotent one. */
export interface Runs {
  /**
   * Starting a run that is there changes nothing. `rules`: how many it expands, for whoever must find out that it is
   * complete.
   */
  startRun(run: { id: string; trigger: string; startedAt: number; rules?: number }): Promise<void>;
  /**
   * One page of one rule is planned. Idempotent by (run, rule, repository, after): a page planned twice counts once.
   * `unchanged` tags have no outcome rows of their own; `planned` counts destination tags, unchanged ones included.
   */
  recordPage(page: {
    runId: string;
    ruleId: string;
    /** The page is of one repository of a rule for many. */
    repository?: string;
    after: string;
    planned: number;
    unchanged: number;
    /** Of a rule for many: repositories found, each of which is expanded like a rule. */
    repositories?: number;
    next?: string;
  }): Promise<void>;
  recordRuleFailure(runId: string, ruleId: string, failure: Failure): Promise<void>;
  /**
   * Idempotent by (run, rule, destination); a later outcome replaces an earlier one. But `unchanged` does not replace
   * `copied` or `deleted`: it is the doubled task that finds its own work done.
   */
  recordOutcome(outcome: Outcome): Promise<void>;
  /** True for the one call that ended the run: it has the right to announce it. False where it is not running. */
  endRun(runId: string, state: 'done' | 'interrupted', endedAt: number): Promise<boolean>;
  readRun(runId: string): Promise<RunRecord | undefined>;
  /** Newest first. */
  listRuns(limit: number): Promise<RunRecord[]>;
  /** The newest run with the same trigger that came to its end and began before this one. */
  runBefore(run: Pick<RunRecord, 'id' | 'trigger' | 'startedAt'>): Promise<RunRecord | undefined>;
  /** Outcomes of a run that are not plain successes, or all that have a row. */
  readOutcomes(runId: string, results?: Outcome['result'][]): AsyncIterable<Outcome[]>;
  /** The counts of a run by rule, ordered by rule. A rule that could not be expanded has a row where it had a page. */
  readRules(runId: string): Promise<RuleCounts[]>;
  /** How a destination ended in these runs, in the order of `runIds`; two rules may have an outcome each. */
  readHistory(destination: Target, runIds: string[]): Promise<Outcome[]>;
}
