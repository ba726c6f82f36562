import { type VerifyRow, verifyRule } from '../../core/pipeline/verify.ts';
import { closeRegistryClient, type RegistryClient } from '../../core/registry/client.ts';
import { openCopying } from '../../machine/machine.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfSignal, exitCodes } from '../exit-codes.ts';
import { copySettings, openKnowledge } from '../hosts.ts';
import { readInputs } from '../inputs/inputs.ts';
import { renderVerify } from '../report/verify.ts';
import { columnsOf, type Shell } from '../shell.ts';
import { wantsColor } from '../view/color.ts';
import { formatJsonLine, verifyJson } from '../view/json.ts';
import { createView } from '../view/view.ts';

/**
 * `tranship verify`: asks every destination tag for its digest and compares it with the source's. The ledger is set right
 * where it believed otherwise, so that the next sync mends what differs.
 */
export async function verify(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const { env, stdout, stderr } = shell;
  const color = wantsColor({ noColor: flags.noColor, env, isTTY: stdout.isTTY === true });
  const view = createView({ mode: 'quiet', stdout, stderr, color, verbose: false });
  const stop = new AbortController();
  const stopped = shell.onSignal(() => stop.abort());
  const known = await openKnowledge(flags, view.emit);
  let client: RegistryClient | undefined;
  try {
    const inputs = await readInputs(flags, env, known.credentials);
    const { credentials } = inputs;
    const settings = { ...copySettings(flags, known), credentials, emit: view.emit, signal: stop.signal };
    client = openCopying(settings, known.ledger).client;
    for (const message of [...warnings, ...inputs.warnings]) view.emit({ type: 'warning', message });
    const rows: VerifyRow[] = [];
    const deps = { client, ledger: known.ledger, signal: stop.signal, now: Date.now };
    for (const rule of inputs.rules) for (const row of await verifyRule(deps, rule)) rows.push(row);
    view.close();
    if (flags.json) {
      for (const line of verifyJson(rows)) stdout.write(formatJsonLine(line));
    } else {
      const detail = flags.quiet ? 'problems' : flags.verbose ? 'all' : 'changes';
      const columns = columnsOf(stdout);
      stdout.write(renderVerify({ rows, detail, color, columns, now: Date.now() }));
    }
    return rows.every((row) => row.state === 'ok') ? exitCodes.inStep : exitCodes.incomplete;
  } catch (error) {
    const signal = stopped();
    if (signal === undefined) throw error;
    view.close();
    stderr.write('Stopped before the end.\n');
    return exitCodeOfSignal(signal);
  } finally {
    view.close();
    stopped();
    if (client !== undefined) await closeRegistryClient(client);
    known.close();
  }
}
