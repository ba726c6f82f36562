import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { EndCheck } from '../../core/pipeline/ports/queue.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { endRunIfComplete, isRunComplete } from '../../core/pipeline/run-end.ts';
import type { SqsQueue } from '../aws/queue.ts';
import type { RetryPolicy } from '../aws/retry-policy.ts';
import type { CountUp, Log } from '../aws/telemetry.ts';

const LONGEST_MS = 15 * 60_000;
/** No message lives longer (SQS retention): what has no outcome by then never gets one. */
const GIVE_UP_MS = 14 * 24 * 3_600_000;

export interface EndDeps {
  ledger: Ledger;
  queue: SqsQueue<EndCheck>;
  report: (run: RunRecord) => Promise<void>;
  retry: RetryPolicy;
  log: Log;
  count: CountUp;
  now: () => number;
}

/** A run with nothing to do is over in seconds. */
export function firstLookMs({ backoffMs }: RetryPolicy): number {
  return Math.min(15_000, backoffMs);
}

/**
 * Looks whether a run has ended, and reports its end or looks again later. A look reads the whole run, so the looks at a
 * large or long run are rare.
 *
 * @param isRepeated the message was delivered before: an earlier look may have ended the run without reporting it
 */
export async function lookForEnd(deps: EndDeps, { runId, attempt }: EndCheck, isRepeated: boolean): Promise<void> {
  const { ledger, now, log } = deps;
  const run = await ledger.readRun(runId);
  if (!run) {
    log.warn('there is no such run');
    return;
  }
  if (run.state !== 'running') {
    if (isRepeated) await reportEnd(deps, run);
    return;
  }
  if (isRunComplete(run)) {
    const ended = await endRunIfComplete(ledger, runId, now());
    if (ended) await reportEnd(deps, ended);
    return;
  }
  if (now() - run.startedAt > GIVE_UP_MS) {
    const isOurs = await ledger.endRun(runId, 'interrupted', now());
    const closed = isOurs ? await ledger.readRun(runId) : undefined;
    if (closed) await reportEnd(deps, closed);
    return;
  }
  // A thousand outcomes a second are read at most, so this keeps the reading under 0.1 % of the run.
  const delayMs = Math.min(
    Math.max(firstLookMs(deps.retry) * 1.5 ** Math.min(attempt, 20), run.counts.planned),
    LONGEST_MS,
  );
  await deps.queue.send([{ version: 1, kind: 'end-check', runId, attempt: attempt + 1 }], { delayMs });
  log.info('the run goes on', { counts: run.counts, rules: run.rules, nextLookMs: delayMs });
}

async function reportEnd({ report, log, count }: EndDeps, run: RunRecord): Promise<void> {
  await report(run);
  count('RunsEnded');
  log.info('the run has ended', { state: run.state, counts: run.counts, ruleFailures: run.ruleFailures.length });
}
