import type { Rule } from '../../core/model/rule.ts';
import type { PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { runPolicy } from '../../core/pipeline/try-policy.ts';
import { drainRun } from '../../machine/drain.ts';
import type { Machine } from '../../machine/machine.ts';

let lastRun = 0;

/** Runs rules on a machine, as `tranship sync` does, in this process. */
export async function syncRules(
  machine: Machine,
  rules: Rule[],
  { force = false }: { force?: boolean } = {},
): Promise<{ outcomes: Outcome[]; events: PipelineEvent[] }> {
  lastRun += 1;
  const runId = `run-${lastRun}`;
  const events: PipelineEvent[] = [];
  await machine.ledger.startRun({ id: runId, trigger: 'test', startedAt: Date.now() });
  await machine.queue.sendPlans(rules.map(({ id }) => ({ version: 1 as const, runId, ruleId: id, attempt: 0 })));
  await drainRun({
    machine,
    runId,
    rules: new Map(rules.map((rule) => [rule.id, rule])),
    force,
    proc: 5,
    policy: runPolicy({ retries: 0, maxWaitMs: 0 }),
    emit: (event) => events.push(event),
    signal: new AbortController().signal,
  });
  await machine.ledger.endRun(runId, 'done', Date.now());
  const outcomes = events.flatMap((event) => (event.type === 'task-finished' ? event.outcomes : []));
  return { outcomes, events };
}
