import { configurationError, type TranshipError } from '../../core/model/errors.ts';
import { quote } from '../../core/model/quote.ts';
import { formatTarget } from '../../core/model/reference.ts';
import type { DeadLetter } from '../../machine/state/dead-letters.ts';
import { openState } from '../../machine/state/state.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { openStackOf, stateDirectoryOf } from '../hosts.ts';
import { readCredentials } from '../inputs/inputs.ts';
import type { Shell } from '../shell.ts';
import { formatJsonLine } from '../view/json.ts';
import { readRun } from './status.ts';
import { runPipeline } from './sync.ts';

/** How many one redrive takes; the next one takes more. */
const MAX_LETTERS = 100_000;

/**
 * `tranship redrive`: tries what failed or was deferred again, as a run of its own. It copies nothing that is in step
 * by now.
 */
export async function redrive(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  if (flags.stack !== undefined) return redriveStack(flags, warnings, shell);
  const letters = await chooseLetters(flags);
  if (letters.length === 0) {
    if (!flags.json) shell.stdout.write('Nothing failed that is left to try again.\n');
    return exitCodes.inStep;
  }
  if (flags.dryRun) {
    for (const letter of letters) shell.stdout.write(describe(letter, flags.json));
    return exitCodes.inStep;
  }
  const inputs = await readCredentials(flags, shell.env);
  return runPipeline(flags, shell, {
    trigger: 'redrive',
    credentials: inputs.credentials,
    warnings: [...warnings, ...inputs.warnings],
    async begin({ ledger, deadLetters }, runId, startedAt) {
      await ledger.startRun({ id: runId, trigger: 'redrive', startedAt });
      const ids = letters.map((letter) => letter.id);
      deadLetters.take(ids, runId, startedAt);
      return new Map();
    },
  });
}

/** The dead letters of a stack: what is to be tried again goes back to its queue, and its copiers do the rest. */
async function redriveStack(flags: Flags, warnings: string[], { stdout, stderr }: Shell): Promise<ExitCode> {
  if (flags.dryRun || flags.run !== undefined) {
    throw usage(`--${flags.dryRun ? 'dry-run' : 'run'} cannot be told of a queue on AWS`, 'Leave it out with --stack.');
  }
  const filter = { class: single(flags.errorClass), code: single(flags.errorCode), ruleId: single(flags.rule) };
  const warn = (message: string) => stderr.write(`warning: ${message}\n`);
  for (const message of warnings) warn(message);
  const stack = await openStackOf(flags, (event) => {
    if (event.type === 'warning') warn(event.message);
  });
  const report = await stack.redrive(filter);
  if (flags.json) stdout.write(formatJsonLine({ type: 'redrive', ...report }));
  else {
    const { redriven, dropped, failed, unreadable, left } = report;
    stdout.write(
      `${redriven} sent back to be tried again, ${dropped} in step by now, ${failed} failed for good, ${unreadable} unreadable, ${left} left\n`,
    );
  }
  return report.failed + report.unreadable > 0 ? exitCodes.incomplete : exitCodes.inStep;
}

function usage(message: string, mend: string): TranshipError {
  return configurationError(message, { mend });
}

function single<T>(list: readonly T[]): T | undefined {
  if (list.length <= 1) return list[0];
  throw usage('with --stack, --class, --code and --rule take one value each', 'Run it once for each value.');
}

async function chooseLetters(flags: Flags): Promise<DeadLetter[]> {
  const state = openState(stateDirectoryOf(flags));
  try {
    const { errorClass: classes, errorCode: codes, rule: ruleIds, run: runId } = flags;
    const letters = state.deadLetters.list({ classes, codes, ruleIds, runId, limit: MAX_LETTERS });
    // A letter may outlive what is remembered of its run.
    if (letters.length === 0 && runId !== undefined) await readRun(state.ledger, runId);
    const unknown = ruleIds.find((ruleId) => !state.deadLetters.knowsRule(ruleId));
    if (unknown === undefined) return letters;
    throw usage(
      `no run that is remembered had a rule ${quote(unknown)}`,
      'Give its name, or its source as it is written in the rules.',
    );
  } finally {
    state.close();
  }
}

function describe({ task, failure }: DeadLetter, isJson: boolean): string {
  const source = formatTarget(task.source);
  const destinations = task.destinations.map(formatTarget);
  if (isJson) return formatJsonLine({ type: 'dead-letter', rule: task.ruleId, source, destinations, failure });
  return `${source} -> ${destinations.join(', ')}\n    ${failure.code}: ${failure.message}\n`;
}
