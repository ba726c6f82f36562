import type { Failure } from '../../core/model/errors.ts';
import { outcomeOf } from '../../core/pipeline/outcome.ts';
import { planName } from '../../core/pipeline/plan-name.ts';
import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import type { Database } from './database.ts';
import { nameOf } from './names.ts';
import { forgetOwner, ownerLives } from './owner-lock.ts';
import { writeOutcome, writeRuleFailure } from './runs.ts';

const interruption: Failure = { class: 'transient', code: 'aborted', message: 'the run was interrupted' };

/**
 * Interrupts the runs whose process is gone ({@link interruptRun}). Runs of living processes are not touched, nor runs
 * that hold durable tasks: those were promised to somebody and wait for {@link takeOverRuns}.
 *
 * @param now epoch ms
 * @returns ids of the runs closed
 */
export function closeAbandonedRuns(database: Database, now: number): string[] {
  return ownerless(database)
    .filter((run) => !run.durable)
    .map((run) => {
      interruptRun(database, run.id, now);
      forgetOwner(database.directory, run.owner);
      return run.id;
    });
}

/**
 * Makes this process the owner of the runs that hold durable tasks and whose process is gone. Their messages become
 * visible at once.
 *
 * @param now epoch ms
 * @returns ids of the runs taken over
 */
export function takeOverRuns(database: Database, now: number): string[] {
  return ownerless(database)
    .filter((run) => run.durable)
    .filter((run) =>
      database.transaction(() => {
        const taken = database.run(
          'UPDATE runs SET owner = ? WHERE id = ? AND owner = ?',
          database.owner(),
          run.id,
          run.owner,
        );
        if (taken === 0) return false;
        freeLeases(database, run.id);
        database.run(
          `UPDATE queue SET visible_at = ?, owner = NULL
           WHERE owner IS NOT NULL AND visible_at > ? AND lane IN (SELECT id FROM lanes WHERE run_id = ?)`,
          now,
          now,
          run.id,
        );
        return true;
      }),
    )
    .map((run) => run.id);
}

/**
 * Ends a run before its time, in one transaction: its messages leave the queue, each destination without an outcome is
 * deferred, each rule that was not planned to its end gets a failure, and the run is marked interrupted. A run that has
 * ended stays as it is.
 *
 * @param now epoch ms
 */
export function interruptRun(database: Database, runId: string, now: number): void {
  database.transaction(() => {
    const ended = database.run(
      `UPDATE runs SET state = 'interrupted', ended_at = ? WHERE id = ? AND state = 'running'`,
      now,
      runId,
    );
    if (ended === 0) return;
    freeLeases(database, runId);
    const left = database.all<{ body: string }>(
      'DELETE FROM queue WHERE lane IN (SELECT id FROM lanes WHERE run_id = ?) RETURNING body',
      runId,
    );
    for (const { body } of left) {
      const message: Task | PlanMessage = JSON.parse(body);
      if ('destinations' in message) deferTask(database, message, now);
      else writeRuleFailure(database, runId, planName(message), interruption);
    }
    countUnplanned(database, runId);
  });
}

/** The workers of a run have its id in their names, so nobody has to wait for a lease that a dead one held. */
function freeLeases(database: Database, runId: string): void {
  database.run(`DELETE FROM leases WHERE owner LIKE ? || '/%'`, runId);
}

function deferTask(database: Database, task: Task, now: number): void {
  for (const destination of task.destinations) {
    // A worker finished it, and ended before it could take the message out of the queue.
    const known = database.get(
      'SELECT 1 FROM outcomes WHERE run_id = ? AND registry = ? AND repository = ? AND name = ? AND rule_id = ?',
      task.runId,
      destination.registry,
      destination.repository,
      nameOf(destination),
      task.ruleId,
    );
    if (known) continue;
    writeOutcome(database, outcomeOf(task, destination, { result: 'deferred', failure: interruption, at: now }));
  }
}

/**
 * Counts outcomes as planned that no page tells of: those of announced tags; and those of tasks that were queued by a
 * process which died before it recorded their page.
 */
export function countUnplanned(database: Database, runId: string): void {
  database.run(
    `INSERT INTO pages (run_id, rule_id, after, planned, unchanged)
     SELECT ?, '', 'no page', missing, 0 FROM (
       SELECT (SELECT count(*) FROM outcomes WHERE run_id = ?)
         - (SELECT coalesce(sum(planned - unchanged), 0) FROM pages WHERE run_id = ?) missing)
     WHERE missing > 0
     ON CONFLICT DO UPDATE SET planned = planned + excluded.planned`,
    runId,
    runId,
    runId,
  );
}

function ownerless(database: Database): Array<{ id: string; owner: string; durable: boolean }> {
  return database
    .all<{ id: string; owner: string; durable: number }>(
      `SELECT id, owner, EXISTS (
         SELECT 1 FROM lanes l JOIN queue q ON q.lane = l.id WHERE l.run_id = runs.id AND q.durable) durable
       FROM runs WHERE state = 'running'`,
    )
    .filter((run) => !ownerLives(database.directory, run.owner))
    .map((run) => ({ ...run, durable: run.durable === 1 }));
}
