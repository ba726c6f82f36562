import type { Target } from '../model/reference.ts';
import type { Task } from './ports/queue.ts';
import type { Outcome } from './ports/runs.ts';

/** The outcome of a destination of a task for which nothing was moved, unless `fields` say so. */
export function outcomeOf(
  task: Task,
  destination: Target,
  fields: Pick<Outcome, 'result' | 'at'> & Partial<Outcome>,
): Outcome {
  const { runId, ruleId, source, deletion } = task;
  return {
    runId,
    ruleId,
    source,
    destination,
    ...(deletion !== undefined && { deletion }),
    bytes: 0,
    mounted: 0,
    present: 0,
    ...fields,
  };
}
