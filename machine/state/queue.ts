import type { Failure } from '../../core/model/errors.ts';
import type { PlanMessage, Task, TaskQueue } from '../../core/pipeline/ports/queue.ts';
import type { Database } from './database.ts';

type Message = { kind: 'task'; body: Task } | { kind: 'plan'; body: PlanMessage };

/** A message that one worker has for a while. `receives` counts how often it was received, this time included. */
export type ReceivedMessage = Message & { id: number; receives: number };

/**
 * The queue of one machine. A message that its worker did not finish in time becomes visible again. The calls that finish
 * or keep a received message return false, and change nothing, where another worker has it by now.
 */
export interface Queue extends TaskQueue {
  /** `durable`: the work was promised to somebody outside; see {@link Database.transaction} and `closeAbandonedRuns`. */
  send(tasks: Task[], options?: { delayMs?: number; durable?: boolean }): Promise<void>;
  sendPlans(plans: PlanMessage[], options?: { delayMs?: number }): Promise<void>;
  /**
   * The message that has been visible for the longest time; among equals the one that was sent first. Tasks that have one
   * of `skipRegistries` as source or destination are left in the queue; plan messages never are.
   */
  receive(request: {
    runId: string;
    owner: string;
    visibilityMs: number;
    skipRegistries?: string[];
  }): Promise<ReceivedMessage | undefined>;
  done(message: ReceivedMessage): Promise<boolean>;
  /** Back into the queue, with another body where one is given. */
  retry(message: ReceivedMessage, options: { delayMs: number; body?: Task | PlanMessage }): Promise<boolean>;
  /** Makes messages that wait for a later time visible after `delayMs`: the next round of a run begins. */
  releaseDelayed(runId: string, delayMs: number): Promise<void>;
  /** Moves the task to the dead letters. */
  dead(message: ReceivedMessage & { kind: 'task' }, failure: Failure): Promise<boolean>;
  /** When `receive` has something next, epoch ms, maybe in the past; undefined where nothing is left. */
  nextVisibleAt(runId: string, skipRegistries?: string[]): Promise<number | undefined>;
}

/** Keeps the lanes that touch none of the registries of a JSON list. */
const notSkipped = `NOT EXISTS (
  SELECT 1 FROM json_each(l.registries) mine JOIN json_each(?) skipped ON skipped.value = mine.value)`;
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

    async receive({ runId, owner, visibilityMs, skipRegistries = [] }) {
      const at = now();
      const row = database.get<{ id: number; kind: Message['kind']; body: string; receives: number }>(
        `UPDATE queue SET visible_at = ?, owner = ?, receives = receives + 1 WHERE id = (
           SELECT q.id FROM lanes l CROSS JOIN queue q
             ON q.id = (SELECT id FROM queue WHERE lane = l.id AND visible_at <= ? ORDER BY visible_at, id LIMIT 1)
           WHERE l.run_id = ? AND ${notSkipped}
           ORDER BY q.visible_at, q.id LIMIT 1)
         RETURNING id, kind, body, receives`,
        Math.round(at + visibilityMs),
        owner,
        at,
        runId,
        JSON.stringify(skipRegistries),
      );
      return row && { ...row, body: JSON.parse(row.body) };
    },

    async done(message) {
      return remove(database, message);
    },

    async retry(message, { delayMs, body = message.body }) {
      const visibleAt = Math.round(now() + delayMs);
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

    async releaseDelayed(runId, delayMs) {
      const visibleAt = Math.round(now() + delayMs);
      database.run(
        `UPDATE queue SET visible_at = ? WHERE visible_at > ? AND owner IS NULL
         AND lane IN (SELECT id FROM lanes WHERE run_id = ?)`,
        visibleAt,
        visibleAt,
        runId,
      );
    },

    async dead(message, failure) {
      return database.transaction(() => {
        if (!remove(database, message)) return false;
        const task = message.body;
        database.run(
          `INSERT INTO dead_letters (run_id, rule_id, class, code, registries, body, failure, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
          task.runId,
          task.ruleId,
          failure.class,
          failure.code,
          registriesOf(task),
          JSON.stringify(task),
          JSON.stringify(failure),
          Math.round(now()),
        );
        return true;
      });
    },

    async nextVisibleAt(runId, skipRegistries = []) {
      const { at } = database.one<{ at: number | null }>(
        `SELECT min((SELECT min(visible_at) FROM queue WHERE lane = l.id)) at FROM lanes l WHERE l.run_id = ? AND ${notSkipped}`,
        runId,
        JSON.stringify(skipRegistries),
      );
      return at ?? undefined;
    },
  };
}

/** Within a transaction of the caller's. */
export function enqueueTasks(database: Database, tasks: Task[], visibleAt: number, durable: boolean): void {
  for (const task of tasks) insert(database, 'task', task, visibleAt, durable);
}

/** Within a transaction of the caller's. */
export function enqueuePlans(database: Database, plans: PlanMessage[], visibleAt: number, durable: boolean): void {
  for (const plan of plans) insert(database, 'plan', plan, visibleAt, durable);
}

function insert(
  database: Database,
  kind: Message['kind'],
  body: Task | PlanMessage,
  visibleAt: number,
  durable: boolean,
): void {
  database.run(
    'INSERT INTO queue (lane, kind, body, visible_at, durable) VALUES (?, ?, ?, ?, ?)',
    laneOf(database, body),
    kind,
    JSON.stringify(body),
    visibleAt,
    durable ? 1 : 0,
  );
}

function remove(database: Database, message: ReceivedMessage): boolean {
  return database.run(`DELETE FROM queue WHERE ${held}`, message.id, message.receives) > 0;
}

/** The lane of the registries that a message needs: a plan is worked on whichever are parked. */
function laneOf(database: Database, body: Task | PlanMessage): number {
  const registries = 'destinations' in body ? registriesOf(body) : '[]';
  database.run('INSERT INTO lanes (run_id, registries) VALUES (?, ?) ON CONFLICT DO NOTHING', body.runId, registries);
  const lane = 'SELECT id FROM lanes WHERE run_id = ? AND registries = ?';
  return database.one<{ id: number }>(lane, body.runId, registries).id;
}

/** All registries a task talks to, once each and sorted, as a JSON list. */
function registriesOf(task: Task): string {
  const all = new Set([task.source, ...task.destinations].map((target) => target.registry));
  return JSON.stringify([...all].sort());
}
