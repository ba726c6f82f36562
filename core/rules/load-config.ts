import { type Auth, authOf, expandConfigValue } from '../config/auth-file.ts';
import { type LocatedEntry, parseLocated } from '../config/located.ts';
import { formatPlace, openSource, placeOf, throwProblems } from '../config/problems.ts';
import type { RuleSet } from '../model/rule.ts';
import { type LoadRulesOptions, rulesOf } from './load-rules.ts';

/**
 * Reads image-syncer's older config file (`--config`): logins under `auth` and images under `images`, in YAML or JSON.
 *
 * @throws TranshipError `config-invalid` with everything that is wrong, each as `file:line:column: what — mend`
 * @see https://github.com/AliyunContainerService/image-syncer examples/config.yaml
 */
export function loadConfig(text: string, options: LoadRulesOptions): { rules: RuleSet; auth: Auth } {
  const source = openSource(options.file);
  const { root, warnings } = parseLocated(source, text);
  const entries: ReadonlyMap<string, LocatedEntry> = root?.kind === 'map' ? root.entries : new Map();
  const auth = authOf(source, entries.get('auth')?.value, (value) => expandConfigValue(value, options.env));
  const unread = [...(entries.has('images') ? entries : [])]
    .filter(([key]) => key !== 'auth' && key !== 'images')
    .map(([key, { keyOffset }]) => `${formatPlace(placeOf(source, keyOffset))}: ${key} is not read any more`);
  const rules = rulesOf(source, root, [...warnings, ...unread], options);
  throwProblems(source);
  return { rules, auth };
}
