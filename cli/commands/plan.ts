import type { CopyContext } from '../../core/copy/context.ts';
import { costRules } from '../../core/pipeline/cost.ts';
import { closeRegistryClient } from '../../core/registry/client.ts';
import { openCopying } from '../../machine/machine.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfSignal, exitCodes } from '../exit-codes.ts';
import { copySettings, openKnowledge } from '../hosts.ts';
import { readInputs } from '../inputs/inputs.ts';
import { renderPlan } from '../report/plan.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { wantsColor } from '../view/color.ts';
import { formatJsonLine, planJson } from '../view/json.ts';
import { createView } from '../view/view.ts';

/**
 * `tranship plan`: what `sync` would do now, with the bytes it would move. Writes nothing anywhere; reads the manifests
 * of the tags it would copy, which registries with a quota count.
 */
export async function plan(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const { env, stdout, stderr } = shell;
  const color = wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true });
  const view = createView({ mode: 'quiet', stdout, stderr, color, verbose: false });
  const stop = new AbortController();
  const stopped = shell.onSignal(() => stop.abort());
  const known = await openKnowledge(flags, view.emit);
  let context: CopyContext | undefined;
  try {
    const inputs = await readInputs(flags, env, known.credentials);
    const { credentials } = inputs;
    const settings = { ...copySettings(flags, known), credentials, emit: view.emit, signal: stop.signal };
    context = openCopying(settings, known.ledger);
    for (const message of [...warnings, ...inputs.warnings]) view.emit({ type: 'warning', message });
    const summary = await costRules({ copy: context, ledger: known.ledger }, inputs.rules, {
      force: flags.force,
      withInStep: flags.verbose || flags.json,
    });
    view.close();
    if (flags.json) {
      for (const line of planJson(summary)) stdout.write(formatJsonLine(line));
    } else {
      const columns = columnsOf(stdout);
      stdout.write(renderPlan({ plan: summary, verbose: flags.verbose, color, columns, now: Date.now() }));
    }
    return summary.ruleFailures.length > 0 || summary.rows.some((row) => row.state === 'unknown')
      ? exitCodes.incomplete
      : exitCodes.inStep;
  } catch (error) {
    const signal = stopped();
    if (signal === undefined) throw error;
    view.close();
    stderr.write('Stopped before the end.\n');
    return exitCodeOfSignal(signal);
  } finally {
    view.close();
    stopped();
    if (context !== undefined) await closeRegistryClient(context.client);
    known.close();
  }
}
