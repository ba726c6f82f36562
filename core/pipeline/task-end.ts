import type { CopyContext } from '../copy/context.ts';
import type { CutOff } from '../copy/cut-off.ts';
import type { Target } from '../model/reference.ts';
import type { Ledger } from './ports/ledger.ts';
import type { Seen } from './ports/queue.ts';
import type { Outcome } from './ports/runs.ts';

/** What running a task needs of the host. */
export interface TaskDeps {
  copy: CopyContext;
  ledger: Ledger;
  now: () => number;
  /** Names this work on this task in leases; nothing else that is under way may have the same. */
  owner: string;
}

/** How the run of a task ended. */
export type TaskEnd =
  | {
      kind: 'ended';
      /**
       * One for each destination that was worked on. A throttled one is `failed` here; the host may wait and try again.
       */
      outcomes: Outcome[];
      /** Destinations that another worker is writing now. */
      busy: Target[];
      /** By destination: the blob in the middle of which this worker was stopped, with nothing kept of it. */
      cutOffs: ReadonlyMap<Target, CutOff>;
      /** Failed destinations at which the tag was written, or may have been. */
      written?: Target[];
    }
  | Early;

/**
 * The source is not yet what was announced: to be run again at that time, epoch ms. Nothing was done, and nothing
 * failed. `seen`: what it is instead.
 */
export interface Early {
  kind: 'early';
  again: number;
  seen?: Seen;
}
