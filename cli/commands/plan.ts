import { costRules } from '../../core/pipeline/cost.ts';
import type { Flags } from '../args/flags.ts';
import type { ExitCode } from '../exit-codes.ts';
import { renderPlan } from '../report/plan.ts';
import type { Shell } from '../shell.ts';
import { planJson } from '../view/json.ts';
import { inspect } from './inspect.ts';

/**
 * `tranship plan`: what `sync` would do now, with the bytes it would move. Writes nothing anywhere; reads the manifests
 * of the tags it would copy, which registries with a quota count.
 */
export function plan(flags: Flags, warnings: string[], shell: Shell): Promise<ExitCode> {
  const { force, verbose, json } = flags;
  return inspect(flags, warnings, shell, async ({ copy, ledger, rules }) => {
    const summary = await costRules({ copy, ledger }, rules, { force, withInStep: verbose || json });
    return {
      isInStep: summary.ruleFailures.length === 0 && summary.rows.every((row) => row.state !== 'unknown'),
      json: () => planJson(summary),
      report: (screen) => renderPlan({ plan: summary, verbose, ...screen }),
    };
  });
}
