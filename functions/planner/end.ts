import type { EndCheck } from '../../core/pipeline/ports/queue.ts';
import type { RunRecord, Runs } from '../../core/pipeline/ports/runs.ts';
import { firstLookMs, lookAtRun } from '../../core/pipeline/run-end.ts';
import type { TryPolicy } from '../../core/pipeline/try-policy.ts';
import type { SqsQueue } from '../aws/queue.ts';
import type { Log } from '../aws/telemetry.ts';

export interface EndDeps {
  ledger: Pick<Runs, 'readRun' | 'endRun'>;
  queue: SqsQueue<EndCheck>;
  /** Tells whoever wants to know that a run has ended; `isRepeated`: an earlier try did not come to its end. */
  report: (run: RunRecord, isRepeated: boolean) => Promise<void>;
  policy: TryPolicy;
  log: Log;
  now: () => number;
}

/**
 * The webhook sends the first look before it stores the run, so that a run which is there always has one. Each look
 * comes 15 s after the last one, and the webhook has 10 s.
 */
const MOST_LOOKS_WITHOUT_RUN = 8;

/**
 * Looks whether a run has ended, and reports it or looks again later. Of any number of looks at once one ends the run
 * and reports it.
 *
 * @param isRepeated the message was delivered before: an earlier look may have ended the run and not come to report it
 */
export async function lookForEnd(deps: EndDeps, { runId, attempt }: EndCheck, isRepeated: boolean): Promise<void> {
  const { ledger, queue, policy, now, log } = deps;
  const run = await ledger.readRun(runId);
  if (!run) {
    if (attempt >= MOST_LOOKS_WITHOUT_RUN) {
      log.warn('there is no such run', { looks: attempt });
      return;
    }
    const delayMs = firstLookMs(policy);
    await queue.send([{ version: 1, kind: 'end-check', runId, attempt: attempt + 1 }], { delayMs });
    return;
  }
  if (run.state !== 'running') {
    if (isRepeated) await tell(deps, run, true);
    return;
  }
  const look = lookAtRun(run, attempt, policy, now());
  if (look.kind === 'goes-on') {
    await queue.send([{ version: 1, kind: 'end-check', runId, attempt: attempt + 1 }], { delayMs: look.lookAgainMs });
    log.info('the run goes on', { counts: run.counts, rules: run.rules, nextLookMs: look.lookAgainMs });
    return;
  }
  const isOurs = await ledger.endRun(runId, look.kind === 'complete' ? 'done' : 'interrupted', now());
  const ended = isOurs ? await ledger.readRun(runId) : undefined;
  if (ended) await tell(deps, ended, false);
}

async function tell({ report, log }: EndDeps, run: RunRecord, isRepeated: boolean): Promise<void> {
  await report(run, isRepeated);
  log.info('the run has ended', { state: run.state, counts: run.counts, ruleFailures: run.ruleFailures.length });
}
