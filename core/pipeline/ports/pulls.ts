import type { PullBudget } from '../../model/rule.ts';

/** Pulls of a rule by the time they were begun: how many in each part of its window, oldest first. */
export interface PullCounts {
  budget: PullBudget;
  /** Start of a part in epoch ms, and pulls. */
  parts: Array<[start: number, pulls: number]>;
}

/** Pulls of one rule, as they are stored. */
export interface StoredPulls {
  ruleId: string;
  counts: PullCounts;
  /** Grows with each write. */
  version: number;
}

/** The quota of a registry as a worker saw it last. */
export interface SeenQuota {
  registry: string;
  limit: number;
  remaining: number;
  windowMs: number;
  /** Epoch ms. */
  at: number;
}

/** What is left of quotas, shared by all workers. */
export interface Pulls {
  /** Strongly consistent. Undefined where the rule has not pulled for longer than its window. */
  readPulls(ruleId: string): Promise<StoredPulls | undefined>;
  /** Writes counts with this version where the stored ones have the version before it; false where not. */
  writePulls(pulls: StoredPulls): Promise<boolean>;
  /** All rules with a budget that have pulled lately. */
  listPulls(): Promise<StoredPulls[]>;
  /** Notes a quota; what was seen earlier does not take the place of what was seen later. */
  noteQuota(quota: SeenQuota): Promise<void>;
  listQuotas(): Promise<SeenQuota[]>;
}
