import type { ErrorCode, Failure } from '../model/errors.ts';
import type { Park } from '../pipeline/ports/parks.ts';
import type { SeenQuota } from '../pipeline/ports/pulls.ts';
import type { Outcome, RuleCounts, RunRecord } from '../pipeline/ports/runs.ts';
import type { Cause } from './causes.ts';
import type { RuleState } from './survey.ts';
import type { TagRow, TagState } from './tags.ts';

/**
 * What the status page is told, as JSON. Times are epoch ms, sizes bytes; references are text as `formatTarget` writes
 * it. `null` stands for what a host does not keep, which is not the same as none.
 */

export interface OverviewView {
  at: number;
  host: { kind: 'machine' | 'stack'; name: string; version: string };
  tags: { planned: number; inStep: number; failing: number; inHand: number; isCut: boolean };
  rules: { all: number; failed: number };
  parks: Park[];
  /** Newest first. */
  runs: RunView[];
  nextRuns: Array<{ trigger: string; at: number }> | null;
  /** Of ended runs, oldest first. */
  history: Array<{ at: number; bytes: number; copied: number; failed: number; inStep: number }>;
  transfers: TransferView[] | null;
  actions: ActionsView;
}

/** What a person may start from the page. */
export interface ActionsView {
  redrive: boolean;
  sync: boolean;
  /** Why `sync` is not there. */
  whyNoSync?: string;
}

export type RunView = RunRecord & {
  /** Of a run that goes on, since the last look. */
  bytesPerSecond?: number;
};

/** A blob on its way. */
export interface TransferView {
  digest: string;
  source: string;
  destinations: string[];
  size: number;
  bytes: number;
  startedAt: number;
}

export type RuleView = RuleState & {
  inStep: number;
  /** What the rules file says, where the host knows it. */
  rule: { from: string; to: string[]; tags: string; platforms: string; sourceTags: number | undefined } | null;
};

export interface RepositoriesView {
  repositories: Array<{ name: string; failing: number }> | null;
}

export type TagView = Omit<TagRow, 'destination' | 'source'> & { destination: string; source: string };

export interface TagsView {
  rows: TagView[];
  next?: string;
}

export type OutcomeView = Omit<Outcome, 'destination' | 'source'> & { destination: string; source: string };

export interface TagDetailView {
  destination: string;
  state: TagState | 'unknown';
  source: string | null;
  /** What the ledger says the destination was made from, and what is there. */
  sourceDigest: string | null;
  destinationDigest: string | null;
  platforms: string;
  at: number | null;
  how: string | null;
  /** Whether signatures and the like came with the image; null where nobody looked. */
  signatures: { found: boolean; at: number } | null;
  ruleId: string | null;
  failure: (Failure & { what: string }) | null;
  /** Newest first. */
  history: OutcomeView[];
  /** How many runs were looked at for it. */
  historyRuns: number;
  /** Whether the host can read the image at its registry. */
  canLookInside: boolean;
}

/** An image as its registry has it. */
export interface InsideView {
  digest: string;
  mediaType: string;
  images: Array<{ digest: string; platform: string; size: number; layers: Array<{ digest: string; size: number }> }>;
  /** There are more images than are read. */
  isCut: boolean;
  /** What refers to the image, or stands beside it. */
  signatures: Array<{ kind: string; digest: string }>;
}

export interface RunDetailView {
  run: RunView;
  rules: RuleCounts[];
  outcomes: OutcomeView[];
  /** There are more outcomes than these. */
  isCut: boolean;
}

export interface CausesView {
  causes: Cause[];
  isCut: boolean;
}

export interface PushEventView {
  at: number;
  sender: string;
  status: number;
  /** `queued`, `merged`, or why it leads to nothing. */
  result: string;
  what: string;
  why?: string;
  mend?: string;
}

export interface PushesView {
  /** Newest first, of the last day; null where they are not kept. */
  events: PushEventView[] | null;
}

export interface RegistryView {
  name: string;
  isSource: boolean;
  isDestination: boolean;
  park: Park | null;
  /** Of pulls, as its responses said last. */
  quota: SeenQuota | null;
}

export interface RegistriesView {
  /** Of the rules, and those that are parked or have a quota. */
  registries: RegistryView[];
  rulesKnown: boolean;
  /** Rules that may pull only so much. */
  budgets: Array<{ ruleId: string; pulls: number; left: number; windowMs: number }>;
}

/** What may be asked to be tried again: everything, or what fits all that is given. */
export interface RedriveWish {
  destination?: string;
  ruleId?: string;
  code?: ErrorCode;
}

export interface ActionAnswer {
  /** How many tags are tried again, or rules are planned. */
  count: number;
}
