import type { Gate } from '../../core/copy/gate.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { createBell } from '../bell.ts';
import { type DrainOptions, drainRun } from '../drain.ts';
import type { Machine } from '../machine.ts';
import { NEXT_ROUND_MS } from '../settle.ts';

/** What all runs of one set of workers share. */
export interface Lane {
  machine: Machine;
  rules: ReadonlyMap<string, Rule>;
  limits: Pick<DrainOptions, 'proc' | 'retries' | 'maxWaitMs'>;
  /** @param trigger of the run the events belong to */
  emitFor: (trigger: string) => Emit;
  runEnded: (run: RunRecord) => void;
  /** Fires when no more work is to be begun. */
  stop: AbortSignal;
  /** What no outcome can tell of, as a disk that is full: the process must end. */
  failed: (error: unknown) => void;
  /** Shut while one of its tasks is at work. */
  gate?: Pick<Gate, 'shut'>;
}

const AGAIN_BASE_MS = 1_000;
const AGAIN_CAP_MS = 60_000;

/**
 * Works on promised runs, each until its queue is empty. What must be tried again is tried soon, and not when everything
 * else had its first try: in a run that others add to, that may never be.
 */
export function createPromisedWork(lane: Lane) {
  const machine = keepPromises(lane.machine);
  const atWork = new Map<string, Promise<void>>();
  const arrivals = createBell();

  async function work(runId: string, trigger: string): Promise<void> {
    const { limits, rules, stop } = lane;
    const { runOwners, ledger } = machine;
    do {
      await drainRun({
        machine,
        runId,
        // A rule is planned in it more than once: what the run did itself is in step like all else.
        startedAt: Number.POSITIVE_INFINITY,
        rules,
        force: false,
        ...limits,
        emit: lane.emitFor(trigger),
        signal: stop,
        arrivals,
        gate: lane.gate,
      });
      if (runOwners.endPromised(runId, Date.now())) {
        atWork.delete(runId);
        const run = await ledger.readRun(runId);
        if (run !== undefined) lane.runEnded(run);
        return;
      }
    } while (!stop.aborted);
  }

  return {
    /** Has the run's messages worked on; to be called after each time some were added. */
    begin(runId: string, trigger: string): void {
      arrivals.ring();
      if (!atWork.has(runId) && !lane.stop.aborted) atWork.set(runId, work(runId, trigger).catch(lane.failed));
    },
    async ended(): Promise<void> {
      await Promise.all(atWork.values());
    },
    running: () => [...atWork.keys()],
  };
}

export type PromisedWork = ReturnType<typeof createPromisedWork>;

/** What comes of promised work is promised too. */
function keepPromises(machine: Machine): Machine {
  const { queue } = machine;
  const soon = (delayMs: number, attempt: number): number =>
    delayMs === NEXT_ROUND_MS
      ? Math.min(AGAIN_CAP_MS, AGAIN_BASE_MS * 2 ** attempt) * (0.5 + Math.random() / 2)
      : delayMs;
  return {
    ...machine,
    queue: {
      ...queue,
      send: (tasks, { delayMs = 0 } = {}) =>
        queue.send(tasks, { delayMs: soon(delayMs, tasks[0]?.attempt ?? 0), durable: true }),
      retry: (delivery, { delayMs, ...rest }) =>
        queue.retry(delivery, { delayMs: soon(delayMs, delivery.body.attempt), ...rest }),
    },
  };
}
