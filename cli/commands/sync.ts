import { appendFile, truncate, writeFile } from 'node:fs/promises';
import type { Credentials } from '../../core/model/credentials.ts';
import { configurationError, type TranshipError } from '../../core/model/errors.ts';
import type { NotifyTarget } from '../../core/model/notify-target.ts';
import { noImageFor } from '../../core/model/platform.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Emit, PipelineEvent } from '../../core/pipeline/ports/events.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { runPolicy } from '../../core/pipeline/try-policy.ts';
import { drainRun } from '../../machine/drain.ts';
import { type Machine, openMachine } from '../../machine/machine.ts';
import { createNotifier } from '../../machine/notify/notifier.ts';
import { createRunId } from '../../machine/run-id.ts';
import { openWeb } from '../../machine/web.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfRun, exitCodeOfSignal, exitCodes } from '../exit-codes.ts';
import { copySettings, stateDirectoryOf } from '../hosts.ts';
import { readInputs } from '../inputs/inputs.ts';
import { keepHeapLean } from '../lean-heap.ts';
import { renderError } from '../report/error.ts';
import { renderSuccessImages } from '../report/success-images.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { version } from '../version.ts';
import { wantsColor } from '../view/color.ts';
import { formatJsonLine, outcomeJson } from '../view/json.ts';
import { type LogFile, openLogFile } from '../view/log-file.ts';
import { chooseMode, createView } from '../view/view.ts';

/** `tranship sync`: expands the rules, copies what is not in step, and reports what became of every tag. */
export async function sync(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const inputs = await readInputs(flags, shell.env, { notify: true });
  return runRules(flags, shell, { ...inputs, trigger: inputs.file, warnings: [...warnings, ...inputs.warnings] });
}

/** A run over the given rules. */
export function runRules(
  flags: Flags,
  shell: Shell,
  job: Omit<Begin, 'begin'> & { rules: readonly Rule[] },
): Promise<ExitCode> {
  const { trigger } = job;
  return runPipeline(flags, shell, {
    ...job,
    async begin({ ledger, queue }, runId, startedAt) {
      const rules = new Map(job.rules.map((rule) => [rule.id, rule]));
      await ledger.startRun({ id: runId, trigger, startedAt, rules: rules.size });
      await queue.sendPlans([...rules.keys()].map((ruleId) => ({ version: 1, runId, ruleId, attempt: 0 })));
      return rules;
    },
  });
}

export interface Begin {
  trigger: string;
  credentials: Credentials;
  warnings: string[];
  /** Whom to tell of failures. */
  notify?: readonly NotifyTarget[];
  /** Starts the run and fills its queue. @returns the rules by id */
  begin: (
    machine: Machine,
    runId: string,
    startedAt: number,
  ) => Promise<Awaited<Parameters<typeof drainRun>[0]['rules']>>;
}

/** A run from its start to its report. `sync` and `redrive` differ in how they fill the queue. */
export async function runPipeline(flags: Flags, shell: Shell, job: Begin): Promise<ExitCode> {
  const { env, stdout, stderr } = shell;
  const mode = chooseMode({ flags, env, isTTY: stderr.isTTY === true });
  if (flags.outputSuccessImages !== undefined) await checkWritable(flags.outputSuccessImages);
  const log = flags.log === undefined ? undefined : openLog(flags.log, (message) => warn(message));
  const color = wantsColor({ noColor: flags.noColor, env, isTTY: stderr.isTTY === true });
  const view = await createView({ mode, stdout, stderr, color, verbose: flags.verbose, log });
  const warn = (message: string) => view.emit({ type: 'warning', message });
  const told = collect(view.emit, flags.verbose);
  const stop = new AbortController();
  const stopped = shell.onSignal(() => stop.abort());
  const startedAt = Date.now();
  const runId = createRunId(startedAt);
  let machine: Machine | undefined;
  let hasBegun = false;
  try {
    const copying = { ...copySettings(flags), credentials: job.credentials, emit: told.emit, signal: stop.signal };
    machine = openMachine(stateDirectoryOf(flags), copying);
    for (const message of job.warnings) warn(message);
    const rules = await job.begin(machine, runId, startedAt);
    hasBegun = true;
    const relax = keepHeapLean();
    await drainRun({
      machine,
      runId,
      startedAt,
      rules,
      force: flags.force,
      proc: flags.proc,
      policy: runPolicy(flags),
      emit: told.emit,
      signal: stop.signal,
    }).finally(relax);
    const run = await endRun(machine, runId, stop.signal.aborted);
    machine.deadLetters.dropSettled(runId);
    await notify(run, job.notify ?? [], machine, warn);
    const outcomes = [...told.unchanged, ...(await readAll(machine, runId))];
    if (flags.outputSuccessImages !== undefined) {
      await writeSuccessImages(
        flags.outputSuccessImages,
        renderSuccessImages(outcomes, flags.outputImagesFormat),
        warn,
      );
    }
    if (mode === 'json') {
      // Tags that an interruption left in the queue have had no line yet.
      const left = outcomes.filter(({ failure }) => failure?.code === 'aborted');
      for (const outcome of left) stdout.write(formatJsonLine(outcomeJson(outcome)));
    }
    view.close(run);
    if (mode !== 'json') {
      // It waits for what the report measures text with, which no request should.
      const { renderReport } = await import('../report/run.ts');
      const report = renderReport({
        run,
        outcomes,
        unchangedByRule: flags.verbose ? [] : told.unchangedByRule(),
        empty: told.empty(),
        durationMs: Date.now() - startedAt,
        repeat: {
          state: repeated({ state: flags.state }),
          logins: repeated({ config: flags.config, auth: flags.auth, 'allow-realm': flags.allowRealm }),
        },
        detail: flags.quiet ? 'problems' : flags.verbose ? 'all' : 'changes',
        color: wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true }),
        columns: columnsOf(stdout),
        now: Date.now(),
      });
      stdout.write(report);
    }
    const signal = stopped();
    return signal === undefined ? exitCodeOfRun(run) : exitCodeOfSignal(signal);
  } catch (error) {
    view.close();
    if (!hasBegun) throw error;
    interruptBroken(machine, runId);
    // Exit code 2 would say that nothing was started.
    stderr.write(renderError(error, Boolean(env.TRANSHIP_DEBUG)));
    return exitCodes.incomplete;
  } finally {
    stopped();
    await machine?.close();
    log?.close();
  }
}

/** Told of within this time, or not at all: somebody may wait for the command. */
const NOTICE_MS = 45_000;

async function notify(
  run: RunRecord,
  targets: readonly NotifyTarget[],
  { ledger }: Machine,
  warn: (message: string) => void,
): Promise<void> {
  if (targets.length === 0) return;
  const notifier = createNotifier({ targets: () => targets, ledger, web: openWeb(`tranship/${version}`, warn), warn });
  notifier.runEnded(run);
  await notifier.settled(NOTICE_MS);
}

/** Marks a run as interrupted after an error. If that fails too, as on a full disk, the next command does it. */
function interruptBroken(machine: Machine | undefined, runId: string): void {
  try {
    machine?.runOwners.interrupt(runId, Date.now());
  } catch {}
}

async function endRun({ ledger, runOwners }: Machine, runId: string, isInterrupted: boolean): Promise<RunRecord> {
  if (isInterrupted) runOwners.interrupt(runId, Date.now());
  else await ledger.endRun(runId, 'done', Date.now());
  const run = await ledger.readRun(runId);
  if (run === undefined) throw new Error(`the run ${runId} is gone from the state`);
  return run;
}

async function readAll({ ledger }: Machine, runId: string): Promise<Outcome[]> {
  const all: Outcome[] = [];
  for await (const page of ledger.readOutcomes(runId)) all.push(...page);
  return all;
}

/** The flags that were given, as text of a command line with a space in front. */
function repeated(given: Record<string, string | string[] | undefined>): string {
  return Object.entries(given)
    .flatMap(([name, value = []]) => [value].flat().map((one) => ` --${name} ${shellQuoted(one)}`))
    .join('');
}

function shellQuoted(text: string): string {
  return /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Passes events on and counts the tags that planning found in step: they have no outcomes. */
function collect(next: Emit, keepAll: boolean) {
  const byRule = new Map<string, number>();
  const unchanged: Outcome[] = [];
  let empty = 0;
  return {
    unchanged,
    /** How many have no image for the platforms of their rule. */
    empty: () => empty,
    unchangedByRule: () => [...byRule].map(([ruleId, tags]) => ({ ruleId, tags })),
    emit(event: PipelineEvent) {
      if (event.type === 'rule-planned') {
        byRule.set(event.ruleId, (byRule.get(event.ruleId) ?? 0) + event.unchanged);
      } else if (event.type === 'task-finished') {
        const note = noImageFor(event.task.platforms);
        empty += event.outcomes.filter((one) => one.result === 'unchanged' && one.note === note).length;
      } else if (event.type === 'tag-unchanged') {
        const { ruleId, source, destination, digest, note } = event;
        if (note !== undefined) empty += 1;
        if (!keepAll) return next(event);
        const nothing = { bytes: 0, mounted: 0, present: 0, at: Date.now() };
        unchanged.push({
          runId: '',
          ruleId,
          source,
          destination,
          result: 'unchanged',
          sourceDigest: digest,
          ...nothing,
          ...(note !== undefined && { note }),
        });
      }
      next(event);
    },
  };
}

/** Checked before anything is copied: at the end it would be too late. */
async function checkWritable(path: string): Promise<void> {
  try {
    await appendFile(path, '');
  } catch (cause) {
    throw unwritable(path, 'output-success-images', cause);
  }
}

/** Leaves the file empty where the list cannot be written: half a list, or an old one, would be taken for this one. */
async function writeSuccessImages(path: string, list: string, warn: (message: string) => void): Promise<void> {
  try {
    await writeFile(path, list);
  } catch (error) {
    await truncate(path, 0).catch(() => {});
    warn(`${path} could not be written, it does not hold the images that were copied: ${messageOf(error)}`);
  }
}

function openLog(path: string, warn: (message: string) => void): LogFile {
  try {
    return openLogFile(path, (why) => warn(`${path} could not be written, the log is incomplete: ${why}`));
  } catch (cause) {
    throw unwritable(path, 'log', cause);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function unwritable(path: string, flag: string, cause: unknown): TranshipError {
  return configurationError(`${path} cannot be written: ${messageOf(cause)}`, {
    place: { file: path },
    mend: `Give a path that this user may write, with --${flag}.`,
    cause,
  });
}
