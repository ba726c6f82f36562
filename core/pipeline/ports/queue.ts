import type { Failure } from '../../model/errors.ts';
import type { Digest, Target } from '../../model/reference.ts';
import type { ReferrerChoice } from '../../model/referrer.ts';
import type { SignatureRequirement } from '../../model/requirement.ts';
import type { Endpoint, PlatformFilter, PullBudget } from '../../model/rule.ts';
import type { DeletionReason } from '../deletions.ts';

/**
 * "Make these destinations equal to this source tag." Plain data; level-triggered: it says what to do, not which bytes.
 */
export interface Task {
  version: 1;
  runId: string;
  ruleId: string;
  source: Target;
  /** At least one. */
  destinations: Target[];
  platforms: PlatformFilter;
  /** What that refers to the image comes along. Default: signatures, attestations and SBOMs. */
  referrers?: ReferrerChoice;
  /** Who must have signed the image. */
  require?: SignatureRequirement;
  /**
   * `referrer`: the source is no image but something that refers to one. It is brought, with all that refers to the same
   * image, to the destinations' repositories that have that image.
   */
  part?: 'referrer';
  /** Of the rule, where it has any. */
  endpoints?: Endpoint[];
  /** Of the rule, where it has one. */
  pulls?: PullBudget;
  /** Copy even if the ledger and the destination say that it is there. */
  force: boolean;
  /** Epoch ms of the planning: what the ledger learned after this is news to the task, what it knew before is not. */
  plannedAt: number;
  /** The source's digest when it was planned, or as it was announced; a hint, never trusted. */
  hint?: Digest;
  /**
   * What its destinations were seen to lack when it was planned: this image, or anything at all. What cannot be there is
   * not asked for.
   */
  lacking?: Lacking;
  /** A push that was announced started it: the tag may not be there (any more). */
  pushed?: boolean;
  /**
   * Epoch ms until which the source may not be what `hint` says yet: a push can be announced before it is to be seen.
   */
  settleUntil?: number;
  /**
   * What the source was at the last look, where that was not what was announced. While it is the same, it costs a HEAD
   * and no pull.
   */
  seen?: Seen;
  /** The destinations are to be deleted, for this reason, if that still holds when the task runs. */
  deletion?: DeletionReason;
  /**
   * An earlier try wrote the tag at its destinations, or may have, and could not record it: what is equal there by now
   * counts as copied.
   */
  written?: boolean;
  /** How often it was tried before this delivery. */
  attempt: number;
  /**
   * How many workers in a row were stopped by their time in the middle of a blob of it, with nothing kept. From
   * `MOST_CUT_OFFS` on the task is one for a long worker.
   */
  cutOffs?: number;
  /** Why it is tried again, or was set aside. */
  failure?: Failure;
  /** How often it came back from the dead letters. */
  redriven?: number;
}

/** The digest of a tag, or that it is not there. */
export type Seen = Digest | 'nothing';

/** `image`: the destination has another image or none at the tag; `everything`: its repository has no tag at all. */
export type Lacking = (typeof lackings)[number];
export const lackings = ['image', 'everything'] as const;

/** One page of a rule to expand. */
export interface PlanMessage {
  version: 1;
  runId: string;
  ruleId: string;
  /** Tags up to and including this one, in sorted order, are planned already. */
  after?: string;
  attempt: number;
  /** Of the run, for a planner that knows nothing but its message: see `PlanRequest`. */
  force?: boolean;
  runStartedAt?: number;
  /** A push started it: its tasks do not wait behind those of scheduled runs. */
  pushed?: boolean;
  /**
   * Of a rule for many repositories, the one to plan: what is below the rule's path. Without it the message is to find
   * the repositories; `after` is then the last one that has a message of its own.
   */
  repository?: string;
  /** Only what is to be deleted is asked for: a deletion at the source was announced. */
  deletions?: boolean;
}

/** "Look whether the run has ended", from one look to the next. */
export interface EndCheck {
  version: 1;
  kind: 'end-check';
  runId: string;
  /** Looks before this one. */
  attempt: number;
}

/** The sending side, all that the planner needs. */
export interface TaskQueue {
  /** Queues all of them or throws; a message may then be there twice, never be missing. */
  send(tasks: Task[], options?: { delayMs?: number }): Promise<void>;
}
