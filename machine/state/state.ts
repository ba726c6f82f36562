import type { Repository } from '../../core/model/reference.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import type { PushEventView } from '../../core/status/view.ts';
import { clampWaits, shiftWaits } from './clock-step.ts';
import { type Database, openDatabase, openMemoryDatabase } from './database.ts';
import {
  countDead,
  type DeadLetter,
  type DeadLetterFilter,
  dropSettled,
  knowsRule,
  listDead,
  type TakeOptions,
  takeDead,
} from './dead-letters.ts';
import { closeAbandonedRuns, interruptRun, takeOverRuns } from './interrupted.ts';
import { type LastRun, lastRuns } from './last-runs.ts';
import { openLedger } from './ledger.ts';
import { countMessages, endPromised, type PromisedRun, type PromisedWork, promise } from './promised-runs.ts';
import { prune } from './prune.ts';
import { listPushEvents, writePushEvents } from './push-events.ts';
import { openQueue, type Queue } from './queue.ts';
import { listRepositories } from './repositories.ts';
import { lockServing, type ServingLock, type ServingLockOptions } from './serving-lock.ts';

/**
 * What one machine remembers, and the only way to it: nothing outside this folder knows that it is SQLite. Calls on it
 * throw what {@link openDatabase} says. Times are epoch ms.
 */
export interface State {
  directory: string;
  ledger: Ledger;
  queue: Queue;
  deadLetters: DeadLetters;
  runOwners: RunOwners;
  pushEvents: PushEvents;
  /** The destination repositories that there are records of. */
  repositories(): Repository[];
  /** The right to serve this state directory; see {@link lockServing}. */
  lockServing(options: ServingLockOptions): Promise<ServingLock | undefined>;
  /** The last ended run of each trigger. */
  lastRuns(): LastRun[];
  /** After the clock was set back; see {@link shiftWaits}. */
  shiftWaits(byMs: number, now: number): void;
  /** Where the clock may have been set back before; see {@link clampWaits}. */
  clampWaits(longestMs: number, now: number): void;
  /** Removes what nobody will ask for; see {@link prune}. */
  prune(now: number): void;
  close(): void;
}

/** Tasks that were given up. `Queue.dead` puts them here. */
export interface DeadLetters {
  /** The oldest that pass the filter, at most `limit`. */
  list(request: DeadLetterFilter & { limit: number }): DeadLetter[];
  count(): number;
  /** Moves them back into the queue, as tasks of another run; see {@link takeDead}. */
  take(ids: number[], runId: string, now: number, options?: TakeOptions): Task[];
  /** Drops those that a run made needless; see {@link dropSettled}. */
  dropSettled(runId: string): void;
  /** Whether there is anything of the rule; see {@link knowsRule}. */
  knowsRule(ruleId: string): boolean;
}

/** What was announced in the last day, and what became of it. Only people read it. */
export interface PushEvents {
  write(events: readonly PushEventView[], now: number): void;
  /** Newest first. */
  list(limit: number, now: number): PushEventView[];
}

/** Which process a run belongs to, and what becomes of it when that process ends. */
export interface RunOwners {
  /** Ends a run before its time; see {@link interruptRun}. */
  interrupt(runId: string, now: number): void;
  /** Ends the runs of processes that are gone; see {@link closeAbandonedRuns}. */
  closeAbandoned(now: number): string[];
  /** Goes on with promised runs of processes that are gone; see {@link takeOverRuns}. */
  takeOver(now: number): string[];
  /** Stores work durably; see {@link promise}. */
  promise(run: PromisedRun, work: readonly PromisedWork[]): void;
  /** Ends a promised run whose queue is empty; see {@link endPromised}. */
  endPromised(runId: string, now: number): boolean;
  /** Messages of a run, in hand or waiting. */
  countMessages(runId: string): number;
}

/**
 * Opens, and where needed creates or migrates, the memory in a state directory.
 *
 * @throws TranshipError as {@link openDatabase}
 */
export function openState(directory: string): State {
  return stateOf(openDatabase(directory));
}

/** An empty state that is kept nowhere, for commands that only look. No run can start in it. */
export function openMemoryState(): State {
  return stateOf(openMemoryDatabase());
}

function stateOf(database: Database): State {
  return {
    directory: database.directory,
    ledger: openLedger(database),
    queue: openQueue(database),
    deadLetters: {
      list: (request) => listDead(database, request),
      count: () => countDead(database),
      take: (ids, runId, now, options) => takeDead(database, ids, runId, now, options),
      dropSettled: (runId) => dropSettled(database, runId),
      knowsRule: (ruleId) => knowsRule(database, ruleId),
    },
    runOwners: {
      interrupt: (runId, now) => interruptRun(database, runId, now),
      closeAbandoned: (now) => closeAbandonedRuns(database, now),
      takeOver: (now) => takeOverRuns(database, now),
      promise: (run, work) => promise(database, run, work),
      endPromised: (runId, now) => endPromised(database, runId, now),
      countMessages: (runId) => countMessages(database, runId),
    },
    pushEvents: {
      write: (events, now) => writePushEvents(database, events, now),
      list: (limit, now) => listPushEvents(database, limit, now),
    },
    repositories: () => listRepositories(database),
    lockServing: (options) => lockServing(database, options),
    lastRuns: () => lastRuns(database),
    shiftWaits: (byMs, now) => shiftWaits(database, byMs, now),
    clampWaits: (longestMs, now) => clampWaits(database, longestMs, now),
    prune: (now) => prune(database, now),
    close: () => database.close(),
  };
}
