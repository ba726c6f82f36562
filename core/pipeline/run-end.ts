import type { RunRecord } from './ports.ts';

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
