import { type Auth, authOf, expandConfigValue } from '../config/auth-file.ts';
import type { LocatedEntry } from '../config/located.ts';
import { parseLocated } from '../config/parse-located.ts';
import { openFile, throwProblems, warn } from '../config/problems.ts';
import type { RuleSet } from '../model/rule.ts';
import { type LoadRulesOptions, rulesOf } from './load-rules.ts';

/**
 * Reads image-syncer's older config file (`--config`): logins under `auth` and images under `images`, in YAML or JSON.
 *
 * @throws TranshipError `config-invalid` with everything that is wrong, each as `file:line:column: what — mend`
 * @see https://github.com/AliyunContainerService/image-syncer examples/config.yaml
 */
export function loadConfig(text: string, options: LoadRulesOptions): { rules: RuleSet; auth: Auth } {
  const file = openFile(options.file);
  const root = parseLocated(file, text);
  const entries: ReadonlyMap<string, LocatedEntry> = root?.kind === 'map' ? root.entries : new Map();
  const { entries: logins } = authOf(file, entries.get('auth')?.value, (value) =>
    expandConfigValue(value, options.env),
  );
  // What follows is about the rules.
  const auth = { entries: logins, warnings: file.warnings.splice(0) };
  for (const [key, { keyOffset }] of entries.has('images') ? entries : []) {
    if (key !== 'auth' && key !== 'images') warn(file, keyOffset, `${key} is not read any more`);
  }
  const rules = rulesOf(file, root, options);
  throwProblems(file);
  return { rules, auth };
}
