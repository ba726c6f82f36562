import type { Target } from '../model/reference.ts';
import type { PlatformFilter } from '../model/rule.ts';
import type { Task } from './ports/queue.ts';
import type { Outcome } from './ports/runs.ts';

/**
 * What another try needs beside the outcome of a task that failed. Undefined where the rule says more than an outcome
 * holds: whose signature it requires, what comes along, how often it may pull. Then only the next run tries it again.
 */
export function platformsToRetry({ platforms, require: required, referrers, pulls }: Task): PlatformFilter | undefined {
  const saysMore = required !== undefined || referrers !== undefined || pulls !== undefined;
  return saysMore ? undefined : platforms;
}

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
