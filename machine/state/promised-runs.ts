import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import type { Database } from './database.ts';
import { countUnplanned } from './interrupted.ts';
import { enqueuePlans, enqueueTasks } from './queue.ts';

/** A run whose work was promised to somebody: it ends when its queue is empty, and begins again when more is promised. */
export interface PromisedRun {
  id: string;
  trigger: string;
  /** Epoch ms. */
  startedAt: number;
}

/** Messages, and the epoch ms before which none of them is worked on. */
export interface PromisedWork {
  tasks: Task[];
  plans: PlanMessage[];
  visibleAt: number;
}

/**
 * Stores work of a promised run, and the run where it is not there or has ended. All of it is on the disk when this
 * returns, and the next process takes it over where this one dies (`takeOverRuns`).
 */
export function promise(database: Database, run: PromisedRun, work: readonly PromisedWork[]): void {
  database.transaction(
    () => {
      database.run(
        `INSERT INTO runs (id, trigger, owner, state, started_at) VALUES (?, ?, ?, 'running', ?)
         ON CONFLICT DO UPDATE SET state = 'running', ended_at = NULL, owner = excluded.owner WHERE state <> 'running'`,
        run.id,
        run.trigger,
        database.owner(),
        run.startedAt,
      );
      for (const { tasks, plans, visibleAt } of work) {
        enqueueTasks(database, tasks, visibleAt, true);
        enqueuePlans(database, plans, visibleAt, true);
      }
    },
    { durable: true },
  );
}

/** @returns false, and the run goes on, where a message is left */
export function endPromised(database: Database, runId: string, now: number): boolean {
  return database.transaction(() => {
    if (countMessages(database, runId) > 0) return false;
    countUnplanned(database, runId);
    database.run("UPDATE runs SET state = 'done', ended_at = ? WHERE id = ? AND state = 'running'", now, runId);
    return true;
  });
}

/** Messages of a run, in hand or waiting. */
export function countMessages(database: Database, runId: string): number {
  return database.get<{ count: number }>(
    'SELECT count(*) count FROM lanes l JOIN queue q ON q.lane = l.id WHERE l.run_id = ?',
    runId,
  )!.count;
}
