import { readFileSync } from 'node:fs';
import { configurationError } from '../core/model/errors.ts';
import type { RuleSet } from '../core/model/rule.ts';
import { loadRules } from '../core/rules/load-rules.ts';

/**
 * Reads the rules file while the app is synthesised, so that a bad one never reaches AWS. Variables in destinations are
 * those of the process that synthesises, as are image-syncer's `DEFAULT_REGISTRY` and `DEFAULT_NAMESPACE`.
 *
 * @throws TranshipError `config-invalid`, with everything that is wrong and its place
 */
export function readRules(file: string, env: NodeJS.ProcessEnv = process.env): RuleSet {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw configurationError(`${file}: cannot be read: ${(error as Error).message}`, {
      place: { file },
      mend: 'give the path of a rules file: -c tranship:rules=FILE',
    });
  }
  return loadRules(text, { file, env, registry: env.DEFAULT_REGISTRY, namespace: env.DEFAULT_NAMESPACE });
}
