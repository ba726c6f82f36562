import { dirname, resolve } from 'node:path';
import type { RuleSet } from '../core/model/rule.ts';
import { loadRules } from '../core/rules/load-rules.ts';
import { readFile } from './read-file.ts';

/**
 * Reads the rules file during synthesis, so that a wrong one never reaches AWS. Variables in destinations, and
 * image-syncer's `DEFAULT_REGISTRY` and `DEFAULT_NAMESPACE`, come from the environment of the synthesis.
 *
 * @throws TranshipError `config-invalid`, with each problem and its place
 */
export function readRules(file: string, env: NodeJS.ProcessEnv = process.env): RuleSet {
  const text = readFile(file, 'set tranship:rules in cdk.json to the path of a rules file');
  return loadRules(text, {
    file,
    env,
    registry: env.DEFAULT_REGISTRY,
    namespace: env.DEFAULT_NAMESPACE,
    notify: 'refuse',
    // Keys travel in the rules: functions have no other files.
    readNamed: (path) => readFile(resolve(dirname(file), path), 'paths of keys start at the rules file'),
  });
}
