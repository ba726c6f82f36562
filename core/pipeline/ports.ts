import type { Failure } from '../model/errors.ts';
import type { Digest, Repository, Target } from '../model/reference.ts';
import type { AuthEntry, PlatformFilter } from '../model/rule.ts';

/**
 * The four ports of the pipeline: credentials, queue, ledger, events. The stages know nothing else of the world but
 * registries. Adapters: SQLite and files (cli/state, cli/credentials), AWS (functions/aws).
 */

// ---------------------------------------------------------------------------------------------------- credentials

/** Logins by repository: the longest configured `registry[/namespace…]` that holds the repository, by whole segments. */
export interface Credentials {
  /**
   * @param options.fresh read the store again: the registry has just refused what was given before
   * @returns undefined for anonymous access
   */
  lookup(repository: Repository, options?: { fresh?: boolean }): Promise<AuthEntry | undefined>;
}

// ---------------------------------------------------------------------------------------------------------- queue

/** "Make these destinations equal to this source tag." Plain data; level-triggered: it says what to do, not which bytes. */
export interface Task {
  version: 1;
  runId: string;
  ruleId: string;
  source: Target;
  /** At least one. */
  destinations: Target[];
  platforms: PlatformFilter;
  /** Copy even if the ledger and the destination say that it is there. */
  force: boolean;
  /** Epoch ms of the planning: what the ledger learned after this is news to the task, what it knew before is not. */
  plannedAt: number;
  /** The source's digest when it was planned, or as it was announced; a hint, never trusted. */
  hint?: Digest;
  /** A push that was announced started it: the tag may not be there (any more). */
  pushed?: boolean;
  /** Epoch ms until which the source may not be what `hint` says yet: a push can be announced before it is to be seen. */
  settleUntil?: number;
  /** How often it was tried before this delivery. */
  attempt: number;
  /** Why it is tried again, or was set aside. */
  failure?: Failure;
  /** How often it came back from the dead letters. */
  redriven?: number;
}

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

// --------------------------------------------------------------------------------------------------------- ledger

/** What is known to be at one destination reference. */
export interface SyncRecord {
  destination: Target;
  source: Target;
  /** Digest of the source's manifest that the destination was made from. */
  sourceDigest: Digest;
  /** Digest at the destination; another one only after a platform subset; undefined where the filter left nothing to copy. */
  destinationDigest: Digest | undefined;
  /** Canonical text of the platform filter, `''` for none: a record made under another filter does not count. */
  platforms: string;
  /** Epoch ms at which the destination confirmed the digest. */
  at: number;
  /**
   * `copied` by us, `found` there equal, `empty`: no platform of the source fits the filter, or `gone`: what was there by its
   * digest alone is there no more.
   */
  how: 'copied' | 'found' | 'empty' | 'gone';
}

/** A repository of the registry known to hold a blob. */
export interface BlobPlace {
  digest: Digest;
  repository: string;
  /** Epoch ms of the last confirmation. */
  at: number;
}

/** The short right of one worker to write one destination. Ends by itself when it is not renewed. */
export interface Lease {
  key: string;
  owner: string;
  /** Epoch ms. */
  until: number;
}

/** How one planned tag of a run ended at one destination. */
export interface Outcome {
  runId: string;
  ruleId: string;
  source: Target;
  destination: Target;
  result: 'copied' | 'unchanged' | 'failed' | 'deferred';
  sourceDigest?: Digest;
  destinationDigest?: Digest;
  /** Why, for failed and deferred. */
  failure?: Failure;
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
  /** How many rules the run expands and how many are through (last page planned, or failed); where it was started with `rules`. */
  rules?: { total: number; expanded: number };
  /** Rules that could not be expanded. */
  ruleFailures: Array<{ ruleId: string; failure: Failure }>;
  counts: { planned: number; copied: number; unchanged: number; failed: number; deferred: number; bytes: number };
}

/** The memory of the pipeline. Every write is a single-item, idempotent one. */
export interface Ledger {
  /**
   * Sync records of one destination repository, in pages, ordered by tag (then digest), compared as UTF-8 bytes.
   * `from` and `to` bound the tags, inclusive.
   */
  readRepository(repository: Repository, range?: { from?: string; to?: string }): AsyncIterable<SyncRecord[]>;
  read(destination: Target): Promise<SyncRecord | undefined>;
  /** Replaces the record of its destination unless a newer one (`at`) is there. */
  write(record: SyncRecord): Promise<void>;

  /** Known places of these blobs at a registry, confirmed after `since` (epoch ms). */
  findBlobs(registry: string, digests: Digest[], since: number): Promise<BlobPlace[]>;
  writeBlobs(repository: Repository, digests: Digest[], at: number): Promise<void>;
  forgetBlobs(repository: Repository, digests: Digest[]): Promise<void>;

  /** The lease, or undefined while another owner holds it. Taking one's own again renews it. */
  acquireLease(key: string, owner: string, ttlMs: number): Promise<Lease | undefined>;
  /** False where the lease was lost: stop writing. */
  renewLease(lease: Lease, ttlMs: number): Promise<boolean>;
  releaseLease(lease: Lease): Promise<void>;

  /** Leave this registry alone until then; the later of two parks holds. */
  park(registry: string, until: number, reason: string): Promise<void>;
  /** Parks that are still in force at `now`. */
  parks(now: number): Promise<Array<{ registry: string; until: number; reason: string }>>;

  /** Starting a run that is there changes nothing. `rules`: how many it expands, for whoever must find out that it is complete. */
  startRun(run: { id: string; trigger: string; startedAt: number; rules?: number }): Promise<void>;
  /**
   * One page of one rule is planned. Idempotent by (run, rule, after): a page planned twice counts once.
   * `unchanged` tags have no outcome rows of their own; `planned` counts destination tags, unchanged ones included.
   */
  recordPage(page: {
    runId: string;
    ruleId: string;
    after: string;
    planned: number;
    unchanged: number;
    next?: string;
  }): Promise<void>;
  recordRuleFailure(runId: string, ruleId: string, failure: Failure): Promise<void>;
  /**
   * Idempotent by (run, rule, destination); a later outcome replaces an earlier one. But `unchanged` does not replace `copied`:
   * it is the doubled task that finds its own work done.
   */
  recordOutcome(outcome: Outcome): Promise<void>;
  /** True for the one call that ended the run: it has the right to announce it. False where it is not running. */
  endRun(runId: string, state: 'done' | 'interrupted', endedAt: number): Promise<boolean>;
  readRun(runId: string): Promise<RunRecord | undefined>;
  /** Newest first. */
  listRuns(limit: number): Promise<RunRecord[]>;
  /** Outcomes of a run that are not plain successes, or all that have a row. */
  readOutcomes(runId: string, results?: Outcome['result'][]): AsyncIterable<Outcome[]>;
}

// --------------------------------------------------------------------------------------------------------- events

/** What happens, for whoever shows or measures it. Emitting never fails and never waits. */
export type PipelineEvent =
  /** One page of a rule; the pages of a rule add up. `planned` and `unchanged` count destination tags. */
  | { type: 'rule-planned'; ruleId: string; planned: number; unchanged: number; tasks: number }
  | { type: 'rule-failed'; ruleId: string; failure: Failure; willRetry: boolean }
  | { type: 'tag-unchanged'; ruleId: string; source: Target; destination: Target; digest: Digest }
  | { type: 'task-started'; task: Task }
  | { type: 'task-finished'; task: Task; outcomes: Outcome[] }
  /** It comes again in the next round, when everything else had its try. */
  | { type: 'task-retrying'; task: Task; failure: Failure }
  | { type: 'blob-started'; id: number; digest: Digest; size: number; source: Repository; destinations: Repository[] }
  /** `bytes`: of this blob so far. */
  | { type: 'blob-progress'; id: number; bytes: number }
  | { type: 'blob-finished'; id: number; ok: boolean }
  | { type: 'parked'; registry: string; until: number; reason: string }
  | { type: 'warning'; message: string };

export type Emit = (event: PipelineEvent) => void;
