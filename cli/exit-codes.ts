import type { RunRecord } from '../core/pipeline/ports/runs.ts';

/** The signals that stop a command, with the exit codes that shells give to them: 128 + the number of the signal. */
const signalExitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export type StopSignal = keyof typeof signalExitCodes;

/** The exit codes of the command. docs/cli.md documents them, `tranship help` prints them. */
export const exitCodes = {
  /** Every planned tag is in step (`verify`: every destination holds what it should). */
  inStep: 0,
  /** Some tag failed or was deferred, some rule could not be expanded, or the run did not get to its end. */
  incomplete: 1,
  /** A flag, a file or a variable cannot be used; nothing was started. */
  usage: 2,
  ...signalExitCodes,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The lines of the help and of docs/cli.md. */
export const exitCodeHelp: ReadonlyArray<readonly [codes: string, meaning: string]> = [
  ['0', 'every tag is in step'],
  ['1', 'a tag failed or was deferred, or a rule could not be expanded'],
  ['2', 'a flag or a file cannot be used; nothing was started'],
  ['129, 130, 143', 'interrupted (SIGHUP, SIGINT, SIGTERM); run it again to go on'],
];

/** Zero only when every planned tag of the run was copied, deleted, or in step already. */
export function exitCodeOfRun(run: RunRecord): ExitCode {
  const { planned, copied, deleted, unchanged } = run.counts;
  const complete = run.state === 'done' && run.ruleFailures.length === 0 && copied + deleted + unchanged >= planned;
  return complete && run.counts.failed + run.counts.deferred === 0 ? exitCodes.inStep : exitCodes.incomplete;
}

export function exitCodeOfSignal(signal: StopSignal): ExitCode {
  return signalExitCodes[signal];
}
