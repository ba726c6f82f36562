import type { Gate } from '../../core/copy/gate.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { servicePolicy } from '../../core/pipeline/try-policy.ts';
import { createBell } from '../bell.ts';
import { drainRun } from '../drain.ts';
import type { Machine } from '../machine.ts';

/** One set of workers: what all of its runs share. */
export interface Workers {
  machine: Machine;
  /** By id. Its entries change when the rules are read again. */
  rules: ReadonlyMap<string, Rule>;
  /** Blobs at once, tries after the first, and how long a registry is waited for in ms. */
  limits: { proc: number; retries: number; maxWaitMs: number };
  /** @param trigger of the run the events belong to */
  emitFor: (trigger: string) => Emit;
  runEnded: (run: RunRecord) => void;
  /** Fires when no more work is to be begun. */
  stop: AbortSignal;
  /** Called with what no outcome can tell of, as a full disk: the process must end. */
  failed: (error: unknown) => void;
  /** Shut while one of its tasks is at work. */
  gate?: Pick<Gate, 'shut'>;
}

/**
 * Works on promised runs, each until its queue is empty. What must be tried again is tried soon, and not when
 * everything else had its first try: in a run that others add to, that may never be.
 */
export function createPromisedWork(workers: Workers) {
  const { machine } = workers;
  const atWork = new Map<string, Promise<void>>();
  const arrivals = createBell();

  async function work(runId: string, trigger: string): Promise<void> {
    const { limits, stop } = workers;
    const { runOwners, ledger } = machine;
    do {
      await drainRun({
        machine,
        runId,
        rules: workers.rules,
        force: false,
        proc: limits.proc,
        policy: servicePolicy(limits),
        durable: true,
        emit: workers.emitFor(trigger),
        signal: stop,
        arrivals,
        gate: workers.gate,
      });
      if (runOwners.endPromised(runId, Date.now())) {
        atWork.delete(runId);
        const run = await ledger.readRun(runId);
        if (run !== undefined) workers.runEnded(run);
        return;
      }
    } while (!stop.aborted);
  }

  return {
    /** Has the run's messages worked on; to be called after each time some were added. */
    begin(runId: string, trigger: string): void {
      arrivals.ring();
      if (!atWork.has(runId) && !workers.stop.aborted) atWork.set(runId, work(runId, trigger).catch(workers.failed));
    },
    async ended(): Promise<void> {
      await Promise.all(atWork.values());
    },
    running: () => [...atWork.keys()],
  };
}

export type PromisedWork = ReturnType<typeof createPromisedWork>;
