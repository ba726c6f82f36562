import { type VerifyRow, verifyRule } from '../../core/pipeline/verify.ts';
import type { Flags } from '../args/flags.ts';
import type { ExitCode } from '../exit-codes.ts';
import { renderVerify } from '../report/verify.ts';
import type { Shell } from '../shell.ts';
import { verifyJson } from '../view/json.ts';
import { inspect } from './inspect.ts';

/**
 * `tranship verify`: asks every destination tag for its digest and compares it with the source's. Corrects the ledger
 * where it believed otherwise, so that the next sync copies the tag again.
 */
export function verify(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const detail = flags.quiet ? 'problems' : flags.verbose ? 'all' : 'changes';
  return inspect(flags, warnings, shell, async ({ copy: { client, signal }, ledger, rules }) => {
    const rows: VerifyRow[] = [];
    for (const rule of rules) {
      for (const row of await verifyRule({ client, ledger, signal, now: Date.now }, rule, rules)) rows.push(row);
    }
    return {
      isInStep: rows.every(({ state }) => state === 'ok' || state === 'empty'),
      json: () => verifyJson(rows),
      report: (screen) => renderVerify({ rows, detail, ...screen }),
    };
  });
}
