import type { ErrorClass, ErrorCode, Failure } from '../../core/model/errors.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { redriveTask } from '../../core/pipeline/second-chance.ts';
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

/** A dead letter passes when it passes each field that is given and not empty. */
export interface DeadLetterFilter {
  classes?: readonly ErrorClass[];
  codes?: readonly ErrorCode[];
  ruleIds?: readonly string[];
  runId?: string;
}

/** The oldest dead letters that pass the filter, at most `limit`. */
export function listDead(database: Database, request: DeadLetterFilter & { limit: number }): DeadLetter[] {
  const { classes, codes, ruleIds, runId, limit } = request;
  const conditions = ['true'];
  const values: SqlValue[] = [];
  const only = (column: string, allowed: readonly string[] | undefined): void => {
    if (allowed === undefined || allowed.length === 0) return;
    conditions.push(`${column} IN (SELECT value FROM json_each(?))`);
    values.push(JSON.stringify(allowed));
  };
  only('class', classes);
  only('code', codes);
  only('rule_id', ruleIds);
  only('run_id', runId === undefined ? undefined : [runId]);
  return database
    .all<{ id: number; body: string; failure: string; at: number }>(
      `SELECT id, body, failure, at FROM dead_letters WHERE ${conditions.join(' AND ')} ORDER BY id LIMIT ?`,
      ...values,
      limit,
    )
    .map((row) => ({ id: row.id, task: JSON.parse(row.body), failure: JSON.parse(row.failure), at: row.at }));
}

/** Whether any run that is remembered, or any dead letter, is of the rule. */
export function knowsRule(database: Database, ruleId: string): boolean {
  const { known } = database.one<{ known: number }>(
    `SELECT EXISTS (SELECT 1 FROM dead_letters WHERE rule_id = ?1)
       OR EXISTS (SELECT 1 FROM pages WHERE rule_id = ?1 OR rule_for_many = ?1)
       OR EXISTS (SELECT 1 FROM rule_failures WHERE rule_id = ?1) known`,
    ruleId,
  );
  return known === 1;
}

export function countDead(database: Database): number {
  return database.one<{ count: number }>('SELECT count(*) count FROM dead_letters').count;
}

/** @property durable for a run that the next process goes on with (`takeOverRuns`) where this one dies */
export interface TakeOptions {
  durable?: boolean;
}

/**
 * Moves dead letters back into the queue as first attempts of a run that was started before, and counts their
 * destinations as planned there. It moves all or none: a process that dies in the middle leaves them where they were.
 * They count as planned now, so that what the ledger learned since they died is checked again.
 *
 * @returns the tasks as queued; ids that are gone are left out
 */
export function takeDead(
  database: Database,
  ids: number[],
  runId: string,
  now: number,
  { durable = false }: TakeOptions = {},
): Task[] {
  const take = () => {
    const rows = database
      .all<{ id: number; body: string }>(
        'DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?)) RETURNING id, body',
        JSON.stringify(ids),
      )
      .sort((a, b) => a.id - b.id);
    return rows.map(({ id, body }) => {
      const dead: Task = JSON.parse(body);
      const task: Task = { ...redriveTask(dead, dead.destinations), runId, plannedAt: now };
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

/**
 * Drops the dead letters of earlier runs that this run made needless: each of their destinations was tried again in it,
 * or is known to be in step since the letter was written. Otherwise a tag that fails every night would pile up.
 */
export function dropSettled(database: Database, runId: string): void {
  database.run(
    `DELETE FROM dead_letters AS dead WHERE run_id <> ? AND NOT EXISTS (
       SELECT 1 FROM (
         SELECT value ->> 'registry' registry, value ->> 'repository' repository,
           coalesce(value ->> 'tag', value ->> 'digest') name
         FROM json_each(dead.body, '$.destinations')
       ) AS wanted
       WHERE NOT EXISTS (
         SELECT 1 FROM outcomes o WHERE o.run_id = ? AND o.registry = wanted.registry
           AND o.repository = wanted.repository AND o.name = wanted.name AND o.result <> 'deferred')
       AND NOT EXISTS (
         SELECT 1 FROM records r WHERE r.registry = wanted.registry AND r.repository = wanted.repository
           AND r.name = wanted.name AND r.at >= dead.at))`,
    runId,
    runId,
  );
}
