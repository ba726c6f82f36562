import type { Failure } from '../../core/model/errors.ts';
import type { PlanMessage, Task, TaskQueue } from '../../core/pipeline/ports/queue.ts';
import type { Delay } from '../../core/pipeline/try-policy.ts';
import type { Database } from './database.ts';

type Message = { kind: 'task'; body: Task } | { kind: 'plan'; body: PlanMessage };

/** A message that one worker has for a while. `receives` counts how often it was received, this time included. */
export type ReceivedMessage = Message & { id: number; receives: number };

/**
 * The queue of one machine. A message that its worker did not finish in time becomes visible again. The calls that
 * finish or keep a received message return false, and change nothing, where another worker has it by now.
 */
export interface Queue extends TaskQueue {
  /**
   * `durable`: the work was promised to somebody outside; see {@link Database.transaction} and `closeAbandonedRuns`.
   */
  send(tasks: Task[], options?: { delayMs?: number; durable?: boolean }): Promise<void>;
  sendPlans(plans: PlanMessage[], options?: { delayMs?: number }): Promise<void>;
  /**
   * The messages that have been visible for the longest time; among equals those that were sent first. Tasks that have
   * one of `skipRegistries` as source or destination are left in the queue; plan messages never are.
   */
  receive(request: {
    runId: string;
    owner: string;
    visibilityMs: number;
    most: number;
    skipRegistries?: string[];
  }): Promise<ReceivedMessage[]>;
  done(message: ReceivedMessage): Promise<boolean>;
  /** Puts the message back, with another body where one is given. */
  retry(message: ReceivedMessage, options: { delay: Delay; body?: Task | PlanMessage }): Promise<boolean>;
  /**
   * Ends a received task: in its place come the tasks that are to be worked on later, and the dead letter, where there
   * is one. All in one step, so that a process that dies loses and doubles nothing.
   */
  replace(message: ReceivedMessage & { kind: 'task' }, options: Replacement): Promise<boolean>;
  /** Makes what waits for the next round of a run visible after `delayMs`. */
  beginRound(runId: string, delayMs: number): Promise<void>;
  /**
   * When `receive` has something next: epoch ms, maybe in the past, or in the next round; undefined where nothing is
   * left.
   */
  nextVisibleAt(runId: string, skipRegistries?: string[]): Promise<number | 'next-round' | undefined>;
}

/** What comes in place of a task. `durable`: as for `send`. */
export interface Replacement {
  next: ReadonlyArray<{ task: Task; delay: Delay }>;
  dead?: Task & { failure: Failure };
  durable?: boolean;
}

/** Keeps the lanes that touch none of the registries of a JSON list. */
const notSkipped = `NOT EXISTS (
  SELECT 1 FROM json_each(l.registries) mine JOIN json_each(?) skipped ON skipped.value = mine.value)`;
/** Stands in `visible_at` for the next round of a run, which has no time yet: the last millisecond of the year 9999. */
export const IN_NEXT_ROUND = 253_402_300_799_999;
/** The message is still with the worker that received it: parameters id, receives. */
const held = 'id = ? AND receives = ? AND owner IS NOT NULL';

/** @param options.now the clock of visibility, epoch ms */
export function openQueue(database: Database, options: { now?: () => number } = {}): Queue {
  const now = options.now ?? Date.now;

  return {
    async send(tasks, { delayMs = 0, durable = false } = {}) {
      const visibleAt = Math.round(now() + delayMs);
      database.transaction(() => enqueueTasks(database, tasks, visibleAt, durable), { durable });
    },

    async sendPlans(plans, { delayMs = 0 } = {}) {
      const visibleAt = Math.round(now() + delayMs);
      database.transaction(() => enqueuePlans(database, plans, visibleAt, false));
    },

    async receive({ runId, owner, visibilityMs, most, skipRegistries = [] }) {
      const at = now();
      return database.transaction(() => {
        const rows = database.all<{ id: number; kind: Message['kind']; body: string; receives: number }>(
          `SELECT q.id, q.kind, q.body, q.receives + 1 receives FROM lanes l CROSS JOIN queue q
             ON q.id IN (SELECT id FROM queue WHERE lane = l.id AND visible_at <= ? ORDER BY visible_at, id LIMIT ?)
           WHERE l.run_id = ? AND ${notSkipped}
           ORDER BY q.visible_at, q.id LIMIT ?`,
          at,
          most,
          runId,
          JSON.stringify(skipRegistries),
          most,
        );
        database.run(
          `UPDATE queue SET visible_at = ?, owner = ?, receives = receives + 1
           WHERE id IN (SELECT value FROM json_each(?))`,
          Math.round(at + visibilityMs),
          owner,
          JSON.stringify(rows.map(({ id }) => id)),
        );
        return rows.map((row) => ({ ...row, body: JSON.parse(row.body) }));
      });
    },

    async done(message) {
      return remove(database, message);
    },

    async retry(message, { delay, body = message.body }) {
      const visibleAt = visibleAfter(delay, now());
      return database.transaction(() => {
        const lane = laneOf(database, body);
        return (
          database.run(
            `UPDATE queue SET visible_at = ?, owner = NULL, body = ?, lane = ? WHERE ${held}`,
            visibleAt,
            JSON.stringify(body),
            lane,
            message.id,
            message.receives,
          ) > 0
        );
      });
    },

    async replace(message, { next, dead, durable = false }) {
      const replaceIt = () => {
        if (!remove(database, message)) return false;
        for (const { task, delay } of next) enqueueTasks(database, [task], visibleAfter(delay, now()), durable);
        if (dead !== undefined) bury(database, dead, now());
        return true;
      };
      return database.soon(replaceIt, { durable: durable && next.length > 0 });
    },

    async beginRound(runId, delayMs) {
      database.run(
        `UPDATE queue SET visible_at = ? WHERE visible_at = ${IN_NEXT_ROUND}
         AND lane IN (SELECT id FROM lanes WHERE run_id = ?)`,
        Math.round(now() + delayMs),
        runId,
      );
    },

    async nextVisibleAt(runId, skipRegistries = []) {
      const { at } = database.one<{ at: number | null }>(
        `SELECT min((SELECT min(visible_at) FROM queue WHERE lane = l.id)) at FROM lanes l WHERE l.run_id = ? AND ${notSkipped}`,
        runId,
        JSON.stringify(skipRegistries),
      );
      return at === IN_NEXT_ROUND ? 'next-round' : (at ?? undefined);
    },
  };
}

/** Within a transaction of the caller's. */
export function enqueueTasks(database: Database, tasks: Task[], visibleAt: number, durable: boolean): void {
  insertAll(database, 'task', tasks, visibleAt, durable);
}

/** Within a transaction of the caller's. */
export function enqueuePlans(database: Database, plans: PlanMessage[], visibleAt: number, durable: boolean): void {
  insertAll(database, 'plan', plans, visibleAt, durable);
}

function insertAll(
  database: Database,
  kind: Message['kind'],
  bodies: ReadonlyArray<Task | PlanMessage>,
  visibleAt: number,
  durable: boolean,
): void {
  const lanes = new Map<string, number>();
  for (const body of bodies) {
    database.run(
      'INSERT INTO queue (lane, kind, body, visible_at, durable) VALUES (?, ?, ?, ?, ?)',
      laneOf(database, body, lanes),
      kind,
      JSON.stringify(body),
      visibleAt,
      durable ? 1 : 0,
    );
  }
}

function bury(database: Database, { failure, ...task }: Task & { failure: Failure }, now: number): void {
  database.run(
    'INSERT INTO dead_letters (run_id, rule_id, class, code, registries, body, failure, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    task.runId,
    task.ruleId,
    failure.class,
    failure.code,
    registriesOf(task),
    JSON.stringify(task),
    JSON.stringify(failure),
    Math.round(now),
  );
}

function visibleAfter(delay: Delay, now: number): number {
  return delay.kind === 'next-round' ? IN_NEXT_ROUND : Math.round(now + delay.ms);
}

function remove(database: Database, message: ReceivedMessage): boolean {
  return database.run(`DELETE FROM queue WHERE ${held}`, message.id, message.receives) > 0;
}

/**
 * The lane of the registries that a message needs: a plan is worked on whichever are parked.
 *
 * @param known lanes that this transaction has asked for: messages that are sent together mostly share one
 */
function laneOf(database: Database, body: Task | PlanMessage, known = new Map<string, number>()): number {
  const registries = 'destinations' in body ? registriesOf(body) : '[]';
  const key = `${body.runId} ${registries}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  database.run('INSERT INTO lanes (run_id, registries) VALUES (?, ?) ON CONFLICT DO NOTHING', body.runId, registries);
  const lane = 'SELECT id FROM lanes WHERE run_id = ? AND registries = ?';
  const { id } = database.one<{ id: number }>(lane, body.runId, registries);
  known.set(key, id);
  return id;
}

/** All registries a task talks to, once each and sorted, as a JSON list. */
function registriesOf(task: Task): string {
  const all = new Set([task.source, ...task.destinations].map((target) => target.registry));
  return JSON.stringify([...all].sort());
}
