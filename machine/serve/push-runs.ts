import { createRunId } from '../run-id.ts';
import type { PromisedRun } from '../state/promised-runs.ts';
import { pushTrigger } from './triggers.ts';

const HOUR_MS = 3_600_000;

/**
 * The run that announced tags belong to: one an hour, so that runs stay small enough to look at and few enough to keep.
 */
export function createPushRuns(now: () => number): () => PromisedRun {
  let current: PromisedRun | undefined;
  return () => {
    const at = now();
    const isOver = current === undefined || Math.floor(at / HOUR_MS) !== Math.floor(current.startedAt / HOUR_MS);
    if (isOver) current = { id: createRunId(at), trigger: pushTrigger, startedAt: at };
    return current as PromisedRun;
  };
}
