import type { Failure } from '../../core/model/errors.ts';
import type { PlanMessage, Task, TaskQueue } from '../../core/pipeline/ports/queue.ts';
import type { Database } from './database.ts';

/** A message handed to one worker for a while. `receives` counts the hand-overs, this one included. */
export type Delivery = { id: number; receives: number } & (
  | { kind: 'task'; body: Task }
  | { kind: 'plan'; body: PlanMessage }
);

/**
 * The queue of one machine. What a worker received and did not finish in time becomes visible again; the calls that end
 * or prolong a delivery return false, and change nothing, where the message went to another worker meanwhile.
 */
export interface Queue extends TaskQueue {
  /** `durable`: an answer to the outside promises the work; see {@link Database.transaction} and `adoptInterrupted`. */
  send(tasks: Task[], options?: { delayMs?: number; durable?: boolean }): Promise<void>;
  sendPlans(plans: PlanMessage[], options?: { delayMs?: number }): Promise<void>;
  /**
   * The message that is visible for the longest time, in the order of sending among equals. Tasks that would talk to one
   * of `skipRegistries`, as source or destination, are left; plan messages never are.
   */
  receive(request: {
    runId: string;
    owner: string;
    visibilityMs: number;
    skipRegistries?: string[];
  }): Promise<Delivery | undefined>;
  done(delivery: Delivery): Promise<boolean>;
  /** Back into the queue, with another body where one is given. */
  retry(delivery: Delivery, options: { delayMs: number; body?: Task | PlanMessage }): Promise<boolean>;
  extend(delivery: Delivery, visibilityMs: number): Promise<boolean>;
  /** Makes what waits for a later time visible after `delayMs`: the next round of a run begins. */
  releaseDelayed(runId: string, delayMs: number): Promise<void>;
  /** To the dead letters. */
  dead(delivery: Delivery & { kind: 'task' }, failure: Failure): Promise<boolean>;
  /** When `receive` with the same `skipRegistries` has something next, epoch ms, maybe past; undefined where nothing is left. */
  nextVisibleAt(runId: string, skipRegistries?: string[]): Promise<number | undefined>;
  counts(runId: string): Promise<{ visible: number; inFlight: number; delayed: number }>;
}

/** Keeps the lanes that touch none of the registries of a JSON list. */
const notSkipped = `NOT EXISTS (
  SELECT 1 FROM json_each(l.registries) mine JOIN json_each(?) skipped ON skipped.value = mine.value)`;
/** The message is still with the worker it was delivered to: parameters id, receives. */
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
      const [row] = database.all<{ id: number; kind: Delivery['kind']; body: string; receives: number }>(
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
      return row && ({ ...row, body: JSON.parse(row.body) } as Delivery);
    },

    async done(delivery) {
      return remove(database, delivery);
    },

    async retry(delivery, { delayMs, body = delivery.body }) {
      const visibleAt = Math.round(now() + delayMs);
      return database.transaction(() => {
        const lane = laneOf(database, delivery.kind, body);
        return (
          database.run(
            `UPDATE queue SET visible_at = ?, owner = NULL, body = ?, lane = ? WHERE ${held}`,
            visibleAt,
            JSON.stringify(body),
            lane,
            delivery.id,
            delivery.receives,
          ) > 0
        );
      });
    },

    async extend(delivery, visibilityMs) {
      const visibleAt = Math.round(now() + visibilityMs);
      return (
        database.run(`UPDATE queue SET visible_at = ? WHERE ${held}`, visibleAt, delivery.id, delivery.receives) > 0
      );
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

    async dead(delivery, failure) {
      return database.transaction(() => {
        if (!remove(database, delivery)) return false;
        const task = delivery.body;
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
      const row = database.get<{ at: number | null }>(
        `SELECT min((SELECT min(visible_at) FROM queue WHERE lane = l.id)) at FROM lanes l WHERE l.run_id = ? AND ${notSkipped}`,
        runId,
        JSON.stringify(skipRegistries),
      );
      return row?.at ?? undefined;
    },

    async counts(runId) {
      const counts = { visible: 0, inFlight: 0, delayed: 0 };
      const at = now();
      for (const row of database.all<{ what: keyof typeof counts; count: number }>(
        `SELECT CASE WHEN visible_at <= ? THEN 'visible' WHEN owner IS NULL THEN 'delayed' ELSE 'inFlight' END what, count(*) count
         FROM lanes l JOIN queue q ON q.lane = l.id WHERE l.run_id = ? GROUP BY what`,
        at,
        runId,
      )) {
        counts[row.what] = row.count;
      }
      return counts;
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
  kind: Delivery['kind'],
  body: Task | PlanMessage,
  visibleAt: number,
  durable: boolean,
): void {
  database.run(
    'INSERT INTO queue (lane, kind, body, visible_at, durable) VALUES (?, ?, ?, ?, ?)',
    laneOf(database, kind, body),
    kind,
    JSON.stringify(body),
    visibleAt,
    durable ? 1 : 0,
  );
}

function remove(database: Database, delivery: Delivery): boolean {
  return database.run(`DELETE FROM queue WHERE ${held}`, delivery.id, delivery.receives) > 0;
}

function laneOf(database: Database, kind: Delivery['kind'], body: Task | PlanMessage): number {
  const registries = kind === 'task' ? registriesOf(body as Task) : '[]';
  database.run('INSERT INTO lanes (run_id, registries) VALUES (?, ?) ON CONFLICT DO NOTHING', body.runId, registries);
  return database.get<{ id: number }>(
    'SELECT id FROM lanes WHERE run_id = ? AND registries = ?',
    body.runId,
    registries,
  )!.id;
}

/** All registries a task talks to, once each and sorted, as a JSON list. */
function registriesOf(task: Task): string {
  const all = new Set([task.source, ...task.destinations].map((target) => target.registry));
  return JSON.stringify([...all].sort());
}
