import { toFailure } from '../../core/model/errors.ts';
import { platformKey } from '../../core/model/platform.ts';
import { formatTarget } from '../../core/model/reference.ts';
import type { Rule } from '../../core/model/rule.ts';
import { type ExpandedTag, expandRule } from '../../core/pipeline/expand.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { closeRegistryClient, type RegistryClient } from '../../core/registry/client.ts';
import { openCopying } from '../../machine/machine.ts';
import type { Flags } from '../args/flags.ts';
import { type ExitCode, exitCodeOfSignal, exitCodes } from '../exit-codes.ts';
import { copySettings, openKnowledge } from '../hosts.ts';
import { readInputs } from '../inputs/inputs.ts';
import { renderVerify, type VerifyRow, type VerifySummary } from '../report/verify.ts';
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
    client = openCopying(
      copySettings(flags, { credentials, emit: view.emit, signal: stop.signal }),
      known.ledger,
    ).client;
    for (const message of [...warnings, ...inputs.warnings]) view.emit({ type: 'warning', message });
    const rows: VerifyRow[] = [];
    for (const rule of inputs.rules) {
      rows.push(...(await verifyRule(client, known.ledger, rule, stop.signal)));
    }
    const summary: VerifySummary = { rows };
    view.close();
    if (flags.json) for (const line of verifyJson(summary)) stdout.write(formatJsonLine(line));
    else {
      const detail = flags.quiet ? 'problems' : flags.verbose ? 'all' : 'changes';
      const columns = columnsOf(stdout);
      stdout.write(renderVerify({ summary, detail, color, columns, now: Date.now() }));
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

async function verifyRule(
  client: RegistryClient,
  ledger: Ledger,
  rule: Rule,
  signal: AbortSignal,
): Promise<VerifyRow[]> {
  const rows: VerifyRow[] = [];
  try {
    for await (const page of expandRule({ client, ledger, signal }, rule, { verify: true })) {
      for (const tag of page.tags) rows.push(...(await verifyTag(ledger, rule, tag)));
    }
  } catch (error) {
    if (signal.aborted) throw error;
    // Not one tag of the rule could be told: each destination stands for all of its own.
    const failure = toFailure(error);
    for (const { registry, repository } of rule.to) {
      const destination = { registry, repository, tag: '*' };
      rows.push({ ruleId: rule.id, destination, state: 'unreadable', expected: undefined, actual: undefined, failure });
    }
  }
  return rows;
}

async function verifyTag(ledger: Ledger, rule: Rule, tag: ExpandedTag): Promise<VerifyRow[]> {
  const rows: VerifyRow[] = [];
  const platforms = platformKey(rule.platforms);
  for (const { target, state, record, actual, error } of tag.destinations) {
    const isOurs = record !== undefined && record.platforms === platforms && record.sourceDigest === tag.digest;
    const expected = isOurs ? record.destinationDigest : platforms === '' ? tag.digest : undefined;
    const common = { ruleId: rule.id, source: tag.source, destination: target, expected, actual };
    const failure = tag.error ?? error;
    if (failure !== undefined) rows.push({ ...common, state: 'unreadable', failure: toFailure(failure) });
    else if (state === 'new') {
      rows.push({ ...common, state: 'missing' });
      // No tag list will tell sync of a digest that is gone: it goes by the record.
      if (target.tag === undefined && record !== undefined) {
        await ledger.write({ ...record, how: 'gone', at: Math.max(Date.now(), record.at + 1) });
      }
    } else if (state === 'in-step' || state === 'found') rows.push({ ...common, state: 'ok' });
    else {
      rows.push({ ...common, state: 'differs' });
      if (isOurs && actual !== undefined) {
        // What is there was not made from the source's digest: the record that said so must not keep sync from mending it.
        await ledger.write({
          ...record,
          sourceDigest: actual,
          destinationDigest: actual,
          how: 'found',
          at: Math.max(Date.now(), record.at + 1),
        });
      }
    }
  }
  return rows.sort((a, b) => (formatTarget(a.destination) < formatTarget(b.destination) ? -1 : 1));
}
