import type { ErrorClass, ErrorCode, Failure } from '../../core/model/errors.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import type { Database, SqlValue } from './database.ts';
import { enqueueTasks } from './queue.ts';

/** A task that was given up, and why. It stays until it is taken back or dropped. */
export interface DeadLetter {
  id: number;
  task: Task;
  failure: Failure;
  /** Epoch ms. */
  at: number;
}

/** All that are given must fit. `registry` is any the task talks to. */
export interface DeadLetterFilter {
  class?: ErrorClass;
  code?: ErrorCode;
  ruleId?: string;
  runId?: string;
  registry?: string;
}

/** The oldest dead letters that pass the filter, at most `limit`. */
export function listDead(database: Database, request: DeadLetterFilter & { limit: number }): DeadLetter[] {
  const conditions: Array<[string, SqlValue | undefined]> = [
    ['class = ?', request.class],
    ['code = ?', request.code],
    ['rule_id = ?', request.ruleId],
    ['run_id = ?', request.runId],
    ['? IN (SELECT value FROM json_each(registries))', request.registry],
  ];
  const given = conditions.filter((condition): condition is [string, SqlValue] => condition[1] !== undefined);
  return database
    .all<{ id: number; body: string; failure: string; at: number }>(
      `SELECT id, body, failure, at FROM dead_letters
       WHERE ${['true', ...given.map(([sql]) => sql)].join(' AND ')} ORDER BY id LIMIT ?`,
      ...given.map(([, value]) => value),
      request.limit,
    )
    .map((row) => ({ id: row.id, task: JSON.parse(row.body), failure: JSON.parse(row.failure), at: row.at }));
}

/**
 * Moves dead letters back into the queue as first attempts of a run that was started before, and counts their
 * destinations as planned there. All or none of them: a process that dies in the middle leaves them where they were.
 * They count as planned now, so that what the ledger learned since they died is checked again.
 *
 * @param options.durable for a run that the next process goes on with (`takeOverRuns`), where this one dies
 * @returns the tasks as queued; ids that are gone are left out
 */
export function takeDead(
  database: Database,
  ids: number[],
  runId: string,
  now: number,
  { durable = false }: { durable?: boolean } = {},
): Task[] {
  const take = () => {
    const rows = database
      .all<{ id: number; body: string }>(
        'DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?)) RETURNING id, body',
        JSON.stringify(ids),
      )
      .sort((a, b) => a.id - b.id);
    return rows.map(({ id, body }) => {
      const letter = JSON.parse(body) as Task;
      const task: Task = { ...letter, runId, attempt: 0, plannedAt: now, redriven: (letter.redriven ?? 0) + 1 };
      enqueueTasks(database, [task], now, durable);
      database.run(
        'INSERT INTO pages (run_id, rule_id, after, planned, unchanged) VALUES (?, ?, ?, ?, 0)',
        runId,
        task.ruleId,
        `dead letter ${id}`,
        task.destinations.length,
      );
      return task;
    });
  };
  return database.transaction(take, { durable });
}

/** @returns how many were there */
export function dropDead(database: Database, ids: number[]): number {
  return database.run('DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))', JSON.stringify(ids));
}
