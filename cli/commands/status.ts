import { configurationError } from '../../core/model/errors.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { pullsLeft } from '../../core/pipeline/pull-budget.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfRun, exitCodes } from '../exit-codes.ts';
import { type Knowledge, openKnowledge } from '../hosts.ts';
import { renderStatus, type StatusSummary } from '../report/status.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { wantsColor } from '../view/color.ts';
import { formatJsonLine, outcomeJson, quotaJson, runJson } from '../view/json.ts';

/** `tranship status [RUN]`: the last runs, and why tags failed in the newest one; or the run that is named. */
export async function status(flags: Flags, runId: string | undefined, shell: Shell): Promise<ExitCode> {
  const { stdout, env } = shell;
  const known = await openKnowledge(flags, () => {});
  try {
    known.closeDeadRuns();
    const summary = await summarise(known, flags.limit, runId);
    if (flags.json) {
      for (const { run, problems } of summary.runs) {
        stdout.write(formatJsonLine(runJson(run)));
        for (const outcome of problems) stdout.write(formatJsonLine(outcomeJson(outcome)));
      }
      for (const line of quotaJson(summary, Date.now())) stdout.write(formatJsonLine(line));
      if (summary.longTasks !== undefined) {
        stdout.write(formatJsonLine({ type: 'long-tasks', waiting: summary.longTasks }));
      }
    } else {
      const color = wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true });
      const columns = columnsOf(stdout);
      stdout.write(renderStatus({ status: summary, color, columns, now: Date.now() }));
    }
    const [newest] = summary.runs;
    return newest === undefined || newest.run.state === 'running' ? exitCodes.inStep : exitCodeOfRun(newest.run);
  } finally {
    known.close();
  }
}

async function summarise(known: Knowledge, limit: number, runId: string | undefined): Promise<StatusSummary> {
  const { ledger } = known;
  const runs = runId === undefined ? await ledger.listRuns(limit) : [await readRun(ledger, runId)];
  const told = [];
  for (const [position, run] of runs.entries()) {
    told.push({ run, problems: position === 0 ? await readProblems(ledger, run.id) : [] });
  }
  const [parks, quotas, pulls, longTasks] = await Promise.all([
    ledger.parks(Date.now()),
    ledger.listQuotas(),
    ledger.listPulls(),
    known.countLongTasks?.(),
  ]);
  // A rule that has not pulled for longer than its window has nothing to tell.
  const lately = pulls.filter(({ counts }) => pullsLeft(counts, Date.now()) < counts.budget.pulls);
  return { runs: told, parks, quotas, pulls: lately, longTasks };
}

/** @throws TranshipError `configuration` where there is none */
export async function readRun(ledger: Ledger, runId: string): Promise<RunRecord> {
  const run = await ledger.readRun(runId);
  if (run !== undefined) return run;
  throw configurationError(`there is no run ${runId}`, {
    mend: 'tranship status lists the runs that are known.',
  });
}

async function readProblems(ledger: Ledger, runId: string): Promise<Outcome[]> {
  const problems: Outcome[] = [];
  for await (const page of ledger.readOutcomes(runId, ['failed', 'deferred'])) problems.push(...page);
  return problems;
}
