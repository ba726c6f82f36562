import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import type { Database } from './database.ts';
import { countUnplanned } from './interrupted.ts';
import { enqueuePlans, enqueueTasks } from './queue.ts';

/**
 * A run whose work was promised to somebody. It ends when its queue is empty and begins again when more is promised.
 */
export interface PromisedRun {
  id: string;
  trigger: string;
  /** Epoch ms. */
  startedAt: number;
}

/** Messages that become visible at the same time, epoch ms. */
export interface PromisedWork {
  tasks: Task[];
  plans: PlanMessage[];
  visibleAt: number;
}

/**
 * Stores work of a promised run, and starts the run where it is not running. All of it is on the disk when this
 * returns. Where this process dies, the next one goes on with it (`takeOverRuns`).
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

/** Ends the run. @returns false where a message is left; then the run goes on */
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
  return database.one<{ count: number }>(
    'SELECT count(*) count FROM lanes l JOIN queue q ON q.lane = l.id WHERE l.run_id = ?',
    runId,
  ).count;
}
