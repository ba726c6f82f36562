import { runPolicy } from '../../core/pipeline/try-policy.ts';
import { drainRun } from '../drain.ts';
import { createRunId } from '../run-id.ts';
import type { Workers } from './work.ts';

/**
 * A run of its own, ended as interrupted where the process stops meanwhile: the next one finds what is left.
 * @param begin starts the run and fills its queue
 */
export async function runOnce(
  workers: Workers,
  trigger: string,
  begin: (runId: string, startedAt: number) => Promise<void>,
): Promise<void> {
  const { machine, limits, stop } = workers;
  const { ledger, runOwners } = machine;
  const startedAt = Date.now();
  const runId = createRunId(startedAt);
  await begin(runId, startedAt);
  await drainRun({
    machine,
    runId,
    startedAt,
    rules: new Map(workers.rules),
    force: false,
    proc: limits.proc,
    policy: runPolicy(limits),
    emit: workers.emitFor(trigger),
    signal: stop,
  });
  if (stop.aborted) runOwners.interrupt(runId, Date.now());
  else await ledger.endRun(runId, 'done', Date.now());
  const run = await ledger.readRun(runId);
  if (run !== undefined) workers.runEnded(run);
}
