import { type CutOff, remainingMs } from '../copy/cut-off.ts';
import type { Failure } from '../model/errors.ts';
import type { Task } from './ports/queue.ts';
import type { Outcome } from './ports/runs.ts';
import { MOST_CUT_OFFS } from './try-policy.ts';

/** Whether a task is for a long worker: others have shown that their time is too short for it. */
export function needsLongWorker({ cutOffs = 0 }: Pick<Task, 'cutOffs'>): boolean {
  return cutOffs >= MOST_CUT_OFFS;
}

/** Why a task waits for a long worker, for the person who may have to start one. */
export function tooLongFailure(
  { destination: { registry, repository }, failure }: Pick<Outcome, 'destination' | 'failure'>,
  cutOff: CutOff | undefined,
): Failure {
  const message = cutOff === undefined ? 'it takes longer than a worker has' : describe(cutOff);
  return {
    class: 'transient',
    code: 'timeout',
    message,
    registry,
    repository,
    operation: failure?.operation,
    mend: 'run "tranship worker --stack NAME" on any machine, or deploy the stack with longWorker=fargate',
  };
}

const MINUTE_MS = 60_000;

function describe(cutOff: CutOff): string {
  const { digest, size, bytes, ms } = cutOff;
  const minutes = Math.max(1, Math.round((ms + remainingMs(cutOff)) / MINUTE_MS));
  const had = Math.max(1, Math.round(ms / MINUTE_MS));
  const rate = `${megabytes((bytes / Math.max(1, ms)) * 1000)} a second`;
  return `the layer ${digest} has ${megabytes(size)} and came at ${rate}: it needs ${minutes} min, and a worker had ${had}. Nothing of it can be kept for the next one`;
}

/** `12 MB`, `0.4 MB`: decimal, as registries show layers. */
function megabytes(bytes: number): string {
  const value = bytes / 1e6;
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} MB`;
}
