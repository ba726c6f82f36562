import { createWriteStream, type WriteStream } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import type { Credentials } from '../../core/model/credentials.ts';
import { configurationError, type TranshipError } from '../../core/model/errors.ts';
import type { Emit, PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { drainRun } from '../../machine/drain.ts';
import { type Machine, openMachine } from '../../machine/machine.ts';
import { createRunId } from '../../machine/run-id.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfRun, exitCodeOfSignal } from '../exit-codes.ts';
import { copySettings, stateDirectoryOf } from '../hosts.ts';
import { readInputs } from '../inputs/inputs.ts';
import { renderReport } from '../report/run.ts';
import { renderSuccessImages } from '../report/success-images.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { wantsColor } from '../view/color.ts';
import { formatJsonLine, outcomeJson } from '../view/json.ts';
import { chooseMode, createView } from '../view/view.ts';

/** `tranship sync`: expands the rules, copies what is not in step, tells what became of every tag. */
export async function sync(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const inputs = await readInputs(flags, shell.env);
  return runPipeline(flags, shell, {
    trigger: inputs.file,
    credentials: inputs.credentials,
    warnings: [...warnings, ...inputs.warnings],
    async begin({ ledger, queue }, runId, startedAt) {
      const rules = new Map(inputs.rules.map((rule) => [rule.id, rule]));
      await ledger.startRun({ id: runId, trigger: inputs.file, startedAt, rules: rules.size });
      await queue.sendPlans([...rules.keys()].map((ruleId) => ({ version: 1, runId, ruleId, attempt: 0 })));
      return rules;
    },
  });
}

export interface Begin {
  trigger: string;
  credentials: Credentials;
  warnings: string[];
  /** Starts the run and fills its queue; returns the rules by id. */
  begin: (
    machine: Machine,
    runId: string,
    startedAt: number,
  ) => Promise<Awaited<Parameters<typeof drainRun>[0]['rules']>>;
}

/** A run from its start to its report; `sync` and `redrive` differ in how they fill the queue. */
export async function runPipeline(flags: Flags, shell: Shell, job: Begin): Promise<ExitCode> {
  const { env, stdout, stderr } = shell;
  const mode = chooseMode({ flags, env, isTTY: stderr.isTTY === true });
  if (flags.outputSuccessImages !== undefined) await checkWritable(flags.outputSuccessImages);
  const log = flags.log === undefined ? undefined : await openLog(flags.log);
  const color = wantsColor({ noColor: flags.noColor, env, isTTY: stderr.isTTY === true });
  const view = createView({ mode, stdout, stderr, color, verbose: flags.verbose, log });
  const told = collect(view.emit, flags.verbose);
  const stop = new AbortController();
  const stopped = shell.onSignal(() => stop.abort());
  const startedAt = Date.now();
  const runId = createRunId(startedAt);
  let machine: Machine | undefined;
  try {
    const copying = copySettings(flags, { credentials: job.credentials, emit: told.emit, signal: stop.signal });
    machine = openMachine(stateDirectoryOf(flags), copying);
    for (const message of job.warnings) told.emit({ type: 'warning', message });
    const rules = await job.begin(machine, runId, startedAt);
    await drainRun({
      machine,
      runId,
      startedAt,
      rules,
      force: flags.force,
      proc: flags.proc,
      retries: flags.retries,
      maxWaitMs: flags.maxWaitMs,
      emit: told.emit,
      signal: stop.signal,
    });
    const run = await endRun(machine, runId, stop.signal.aborted);
    machine.deadLetters.dropSettled(runId);
    const outcomes = [...told.unchanged, ...(await readAll(machine, runId))];
    if (mode === 'json') {
      // What an interruption left in the queue has had no line yet.
      const left = outcomes.filter(({ failure }) => failure?.code === 'aborted');
      for (const outcome of left) stdout.write(formatJsonLine(outcomeJson(outcome)));
    }
    view.close(run);
    if (mode !== 'json') {
      const report = renderReport({
        run,
        outcomes,
        unchangedByRule: flags.verbose ? [] : told.unchangedByRule(),
        durationMs: Date.now() - startedAt,
        detail: flags.quiet ? 'problems' : flags.verbose ? 'all' : 'changes',
        color: wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true }),
        columns: columnsOf(stdout),
        now: Date.now(),
      });
      stdout.write(report);
    }
    if (flags.outputSuccessImages !== undefined) {
      await writeFile(flags.outputSuccessImages, renderSuccessImages(outcomes, flags.outputImagesFormat));
    }
    const signal = stopped();
    return signal === undefined ? exitCodeOfRun(run) : exitCodeOfSignal(signal);
  } catch (error) {
    view.close();
    if (machine !== undefined) machine.runOwners.interrupt(runId, Date.now());
    throw error;
  } finally {
    stopped();
    await machine?.close();
    if (log !== undefined) {
      log.end();
      await finished(log).catch(() => {});
    }
  }
}

async function endRun({ ledger, runOwners }: Machine, runId: string, isInterrupted: boolean): Promise<RunRecord> {
  if (isInterrupted) runOwners.interrupt(runId, Date.now());
  else await ledger.endRun(runId, 'done', Date.now());
  return (await ledger.readRun(runId)) as RunRecord;
}

async function readAll({ ledger }: Machine, runId: string): Promise<Outcome[]> {
  const all: Outcome[] = [];
  for await (const page of ledger.readOutcomes(runId)) all.push(...page);
  return all;
}

/** Hands events on and keeps count of the tags that planning found in step, which have no outcomes of their own. */
function collect(next: Emit, keepAll: boolean) {
  const byRule = new Map<string, number>();
  const unchanged: Outcome[] = [];
  return {
    unchanged,
    unchangedByRule: () => [...byRule].map(([ruleId, tags]) => ({ ruleId, tags })),
    emit(event: PipelineEvent) {
      if (event.type === 'rule-planned') {
        byRule.set(event.ruleId, (byRule.get(event.ruleId) ?? 0) + event.unchanged);
      } else if (event.type === 'tag-unchanged' && keepAll) {
        const { ruleId, source, destination, digest } = event;
        const nothing = { bytes: 0, mounted: 0, present: 0, at: Date.now() };
        unchanged.push({
          runId: '',
          ruleId,
          source,
          destination,
          result: 'unchanged',
          sourceDigest: digest,
          ...nothing,
        });
      }
      next(event);
    },
  };
}

/** Before anything is copied: a list that cannot be written at the end would be found out too late. */
async function checkWritable(path: string): Promise<void> {
  try {
    await appendFile(path, '');
  } catch (cause) {
    throw unwritable(path, 'output-success-images', cause);
  }
}

async function openLog(path: string): Promise<WriteStream> {
  const stream = createWriteStream(path, { flags: 'a' });
  try {
    await new Promise<void>((resolve, reject) => stream.once('open', () => resolve()).once('error', reject));
  } catch (cause) {
    throw unwritable(path, 'log', cause);
  }
  return stream;
}

function unwritable(path: string, flag: string, cause: unknown): TranshipError {
  return configurationError(`${path} cannot be written: ${(cause as NodeJS.ErrnoException).code}`, {
    place: { file: path },
    mend: `Give a path that this user may write, with --${flag}.`,
    cause,
  });
}
