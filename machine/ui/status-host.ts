import type { Repository, Target } from '../../core/model/reference.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { InsideView, PushEventView, RedriveWish, TransferView } from '../../core/status/view.ts';

/** What the status page shows and starts, on either host. What a host cannot tell is undefined. */
export interface StatusHost {
  kind: 'machine' | 'stack';
  /** The state directory, or the stack. */
  name: string;
  /** Of the program. */
  version: string;
  ledger: Ledger;
  /** How many of the newest runs are looked at. */
  runs: number;
  /** How often the ledger is looked at while somebody watches, in ms. */
  everyMs: number;
  /** The rules of now. */
  rules?(): readonly Rule[];
  /** Destination repositories that are known. */
  repositories?(): Promise<Repository[]>;
  /** Epoch ms by trigger. */
  nextStarts?(): Array<[trigger: string, at: number]>;
  /** Push events of the last day, newest first. */
  pushEvents?(): PushEventView[];
  /** Blobs on their way in this process. */
  transfers?(): TransferView[];
  /** Reads an image at its registry. */
  lookInside?(target: Target): Promise<InsideView>;
  /** Tries again what failed. @returns how many tags */
  redrive?(wish: RedriveWish): Promise<number>;
  /** Starts a run of all rules. @returns how many rules */
  sync?(): Promise<number>;
  /** Why there is no `sync`. */
  whyNoSync?: string;
}
