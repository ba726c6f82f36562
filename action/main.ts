import { parseCommandLine } from '../cli/args/args.ts';
import { exitCodes } from '../cli/exit-codes.ts';
import { stateDirectoryOf } from '../cli/hosts.ts';
import { readInputs } from '../cli/inputs/inputs.ts';
import { renderError } from '../cli/report/error.ts';
import { runCommand } from '../cli/run-command.ts';
import { openProcessShell, type Shell } from '../cli/shell.ts';
import { outcomeJson, runJson } from '../cli/view/json.ts';
import { TranshipError } from '../core/model/errors.ts';
import type { Outcome, RunRecord } from '../core/pipeline/ports/runs.ts';
import { endHelpers } from '../machine/credentials/docker-helper.ts';
import { openState } from '../machine/state/state.ts';
import { errorAnnotations, type RulePlaces, runAnnotations } from './annotations.ts';
import { readCommandLine } from './inputs.ts';
import { errorSummary, reportSummary, runSummary } from './summary.ts';
import { addSummary, fitting, setOutput, withoutCommands } from './workflow.ts';

/** The commands that make a run. */
const running = ['sync', 'redrive', 'copy'];

/**
 * The GitHub Action: the command with the inputs as its flags, then a summary, annotations and outputs of what it did.
 * @returns the exit code
 */
async function act(shell: Shell): Promise<number> {
  const { env } = shell;
  const startedAt = Date.now();
  const invocation = parseCommandLine(readCommandLine(env), env);
  if (!('flags' in invocation)) throw new Error(`no command of the action: ${invocation.command}`);
  const { command, flags } = invocation;
  const printed: string[] = [];
  const stdout: Shell['stdout'] = {
    ...shell.stdout,
    write(text) {
      printed.push(text);
      return shell.stdout.write(text);
    },
  };
  const guard = withoutCommands();
  shell.stdout.write(guard.begin);
  const code = await runCommand(invocation, { ...shell, stdout }).finally(() => shell.stdout.write(guard.end));
  setOutput(env.GITHUB_OUTPUT, 'exit-code', String(code));
  if (!running.includes(command)) {
    addSummary(env.GITHUB_STEP_SUMMARY, reportSummary(command, printed.join('')));
    return code;
  }
  const told = await readRun(stateDirectoryOf(flags), startedAt);
  if (told === undefined) return code;
  const { run, outcomes } = told;
  const places = command === 'sync' ? await placesOf(() => readInputs(flags, env)) : undefined;
  for (const annotation of runAnnotations(run, outcomes, places)) shell.stdout.write(annotation);
  addSummary(env.GITHUB_STEP_SUMMARY, runSummary(command, run, outcomes));
  const list = (...results: Array<Outcome['result']>) =>
    JSON.stringify(fitting(outcomes.filter(({ result }) => results.includes(result)).map(outcomeJson)));
  setOutput(env.GITHUB_OUTPUT, 'run', JSON.stringify(runJson({ ...run, ruleFailures: fitting(run.ruleFailures) })));
  setOutput(env.GITHUB_OUTPUT, 'copied', list('copied'));
  setOutput(env.GITHUB_OUTPUT, 'failed', list('failed', 'deferred'));
  return code;
}

/** The run that was just made, and what became of its tags, but for those that were in step. */
async function readRun(
  directory: string,
  startedAt: number,
): Promise<{ run: RunRecord; outcomes: Outcome[] } | undefined> {
  const state = openState(directory);
  try {
    const [run] = await state.ledger.listRuns(1);
    if (run === undefined || run.startedAt < startedAt) return undefined;
    const outcomes: Outcome[] = [];
    for await (const page of state.ledger.readOutcomes(run.id)) outcomes.push(...page);
    return { run, outcomes };
  } finally {
    state.close();
  }
}

/** Undefined where the rules are not to be read again: they came from a pipe, or are gone. */
async function placesOf(read: () => Promise<RulePlaces>): Promise<RulePlaces | undefined> {
  try {
    return await read();
  } catch {
    return undefined;
  }
}

/** Not at the top level, where CommonJS has no `await`. */
async function run(): Promise<void> {
  const shell = openProcessShell();
  try {
    process.exitCode = await act(shell);
  } catch (error) {
    shell.stderr.write(renderError(error, Boolean(shell.env.TRANSHIP_DEBUG)));
    for (const annotation of errorAnnotations(error)) shell.stdout.write(annotation);
    const isConfiguration = error instanceof TranshipError && error.class === 'configuration';
    const code = isConfiguration ? exitCodes.usage : exitCodes.incomplete;
    setOutput(shell.env.GITHUB_OUTPUT, 'exit-code', String(code));
    addSummary(shell.env.GITHUB_STEP_SUMMARY, errorSummary(renderError(error, false)));
    process.exitCode = code;
  } finally {
    endHelpers();
  }
}

void run();
