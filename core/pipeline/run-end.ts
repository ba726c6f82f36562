import type { Ledger } from './ports/ledger.ts';
import type { RunRecord } from './ports/runs.ts';

/**
 * True where nothing of a running run is to come: every rule is expanded and every planned destination tag has its
 * outcome. More outcomes than planned are possible (a tag list that changed between two deliveries of one plan message).
 *
 * False for a run that was started without `rules`: its owner knows the end by other means.
 */
export function isRunComplete(run: RunRecord): boolean {
  if (run.state !== 'running' || run.rules === undefined) return false;
  const { planned, copied, unchanged, failed, deferred } = run.counts;
  return run.rules.expanded >= run.rules.total && copied + unchanged + failed + deferred >= planned;
}

/**
 * Looks whether a run is complete and ends it if so. Of any number of callers at once one gets the run: it announces the end.
 *
 * A look reads all the outcomes of the run. So look after the last page and then in intervals that grow with the run
 * (15 s for a small one, 15 minutes for a million tags), not once a task.
 *
 * @param now epoch ms, noted as the end
 */
export async function endRunIfComplete(ledger: Ledger, runId: string, now: number): Promise<RunRecord | undefined> {
  const run = await ledger.readRun(runId);
  if (!run || !isRunComplete(run) || !(await ledger.endRun(runId, 'done', now))) return undefined;
  return ledger.readRun(runId);
}
