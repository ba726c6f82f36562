import type { CopyContext } from '../../core/copy/context.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { type OpenCopying, openCopying } from '../../machine/machine.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfSignal, exitCodes } from '../exit-codes.ts';
import { copySettings, lookSettings, openKnowledge } from '../hosts.ts';
import { readInputs } from '../inputs/inputs.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { wantsColor } from '../view/color.ts';
import { formatJsonLine, type JsonLine } from '../view/json.ts';
import { createView } from '../view/view.ts';

/** What there is to inspect. */
interface Subject {
  rules: Rule[];
  copy: CopyContext;
  ledger: Ledger;
}

/** How a report is laid out. */
interface Screen {
  color: boolean;
  /** Undefined where the output is no terminal. */
  columns: number | undefined;
  /** Epoch ms. */
  now: number;
}

/** What was found. */
interface Inspected {
  isInStep: boolean;
  json: () => Iterable<JsonLine>;
  report: (screen: Screen) => string;
}

/**
 * Runs a command that copies nothing, with the memory of this machine or of a stack: opens what it needs, prints what
 * it found, and closes everything. A signal ends it.
 */
export async function inspect(
  flags: Flags,
  warnings: string[],
  shell: Shell,
  look: (subject: Subject) => Promise<Inspected>,
): Promise<ExitCode> {
  const { env, stdout, stderr } = shell;
  const color = wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true });
  const view = await createView({ mode: 'quiet', stdout, stderr, color, verbose: false });
  const { emit } = view;
  const stop = new AbortController();
  const stopped = shell.onSignal(() => stop.abort());
  const known = await openKnowledge(flags, emit);
  const { ledger } = known;
  let opened: OpenCopying | undefined;
  try {
    const {
      rules,
      credentials,
      warnings: inputWarnings,
    } = await readInputs(flags, env, { instead: known.credentials });
    const settings = { ...copySettings(flags, known), ...lookSettings, credentials, emit, signal: stop.signal };
    opened = openCopying(settings, ledger);
    const { copy } = opened;
    for (const message of [...warnings, ...inputWarnings]) emit({ type: 'warning', message });
    const found = await look({ rules, copy, ledger });
    view.close();
    if (flags.json) {
      for (const line of found.json()) stdout.write(formatJsonLine(line));
    } else {
      stdout.write(found.report({ color, columns: columnsOf(stdout), now: Date.now() }));
    }
    return found.isInStep ? exitCodes.inStep : exitCodes.incomplete;
  } catch (error) {
    const signal = stopped();
    if (signal === undefined) throw error;
    view.close();
    stderr.write('Stopped before the end.\n');
    return exitCodeOfSignal(signal);
  } finally {
    view.close();
    stopped();
    await opened?.close();
    known.close();
  }
}
