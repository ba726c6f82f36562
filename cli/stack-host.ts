import { TranshipError } from '../core/model/errors.ts';
import type { Rule } from '../core/model/rule.ts';
import type { StatusHost } from '../machine/ui/status-host.ts';
import type { DeployedStack } from './stack.ts';
import { version } from './version.ts';

/** Each costs some ten requests the first time; an ended one is remembered. */
const RUNS = 30;
/** A look reads every run that goes on. */
const LOOK_EVERY_MS = 15_000;

/**
 * What the status page of a stack shows and starts. Dead letters go back to their queue by rule and code: a queue has no
 * look-up by tag.
 */
export function stackHost(name: string, stack: DeployedStack, rules: readonly Rule[] | undefined): StatusHost {
  return {
    kind: 'stack',
    name: `stack ${name}`,
    version,
    ledger: stack.ledger,
    runs: RUNS,
    everyMs: LOOK_EVERY_MS,
    rules: rules && (() => rules),
    whyNoSync: 'a stack starts its runs itself; invoke its planner to start one now (docs/aws.md)',
    async redrive({ destination, ruleId, code }) {
      if (destination !== undefined && ruleId === undefined) {
        throw new TranshipError('a queue has no look-up by tag', { class: 'configuration', code: 'config-invalid' });
      }
      const { redriven } = await stack.redrive({ ruleId, code });
      return redriven;
    },
  };
}
